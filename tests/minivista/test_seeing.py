"""What the vision tower is taught is what stands in the picture."""

import random

from minivista.canvas import BLACK, GLYPHS, NAVY, SNOW, WHITE, blank, letter, number
from minivista.problems import FOREIGN, STANDARD
from minivista.seeing import CELL_NAMES, UNKNOWN, cells_in, glyphs_in
from minivista.splits import GROUPS

NAMES = ["", *GLYPHS]


def test_glyphs_are_found_where_they_were_drawn() -> None:
    for paper, ink in ((WHITE, BLACK), (NAVY, SNOW)):
        picture = blank(paper)
        number(picture, 0, 2, 47, ink)
        letter(picture, 5, 1, "C", ink)
        found = [[NAMES[glyph] for glyph in token] for token in glyphs_in(picture)]
        # Tokens of 2 x 2 patches, four in a row.
        assert found[1] == ["4", "7", "", ""]
        assert found[8] == ["", "", "", "C"]
        assert sum(glyph != "" for token in found for glyph in token) == 3


def test_every_number_of_a_table_is_found_in_both_styles() -> None:
    for style in (STANDARD, FOREIGN):
        for seed in range(20):
            problem = GROUPS["TQA"](random.Random(seed), style, "train")
            found = sorted(NAMES[glyph] for token in glyphs_in(problem.picture) for glyph in token if glyph)
            assert found == sorted([*"ABC", *(c for c in problem.transcript if c.isdigit())])


def test_cells_are_known_for_scenes_and_handwriting_only() -> None:
    scene = GROUPS["VQA"](random.Random(1), STANDARD, "train")
    counts = {name: scene.cells.count(name) for name in ("circle", "square", "triangle")}
    assert scene.transcript == ", ".join(f"{name} {count}" for name, count in counts.items())
    assert [CELL_NAMES[cell] for cell in cells_in(scene)] == list(scene.cells)
    digits = GROUPS["MWP"](random.Random(1), STANDARD, "train")
    assert [cell for cell in digits.cells if cell != "no"] == [c for c in digits.transcript if c.isdigit()]
    assert set(cells_in(GROUPS["FQA"](random.Random(1), STANDARD, "train"))) == {UNKNOWN}
