"""Which images of a prompt an engine with a prefix cache encodes."""

import pytest

from mstar_models.image_places import images_encoded

TEXT, PIECE, ROW = 1, 9, 8
TWO = [TEXT] * 4 + [PIECE] * 3 + [TEXT] + [PIECE] * 3 + [TEXT] * 5
"""Images at 4 to 6 and 8 to 10."""


@pytest.mark.parametrize(
    ("cached", "encoded"), [(0, [0, 1]), (4, [0, 1]), (5, [1]), (7, [1]), (8, [1]), (9, []), (16, [])]
)
def test_an_image_behind_what_is_cached_is_encoded(cached: int, encoded: list[int]) -> None:
    assert images_encoded(TWO, PIECE, 2, cached) == encoded


def test_images_of_several_rows_or_without_marks_between_them_share_the_places() -> None:
    rows = [TEXT] * 2 + [PIECE, PIECE, ROW] * 4
    assert images_encoded(rows, PIECE, 2, 3) == images_encoded([TEXT] * 2 + [PIECE] * 8, PIECE, 2, 3) == [1]


def test_images_as_negative_ids_are_found() -> None:
    assert images_encoded([TEXT, TEXT, -1, -1, TEXT, -2], None, 2, 2) == [0, 1]
    assert images_encoded([TEXT, TEXT, -1, -1, TEXT, -2], None, 2, 4) == [1]


def test_without_a_known_token_only_an_empty_cache_tells() -> None:
    assert images_encoded([TEXT] * 4, None, 1, 0) == [0]
    assert images_encoded([TEXT] * 4, None, 1, 2) == images_encoded([TEXT] * 4, PIECE, 0, 0) == []
