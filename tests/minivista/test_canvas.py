"""Pictures are the same bytes on every machine, and any PNG reader can read them."""

import hashlib
import io

import numpy as np
from PIL import Image

from minivista.canvas import BLACK, RED, WHITE, blank, box, letter, line, number, png, rgb, shape
from minivista.loader import load_split


def test_pillow_reads_what_was_drawn() -> None:
    picture = blank(WHITE)
    number(picture, 0, 0, 17, BLACK)
    letter(picture, 0, 2, "A", BLACK)
    shape(picture, 2, 2, "triangle", RED)
    line(picture, (63, 0), (20, 63), RED)
    box(picture, 20, 2, 30, 12, BLACK, filled=False)
    read = np.asarray(Image.open(io.BytesIO(png(picture))).convert("RGB"))
    assert np.array_equal(read, rgb(picture))


def test_a_line_holds_both_of_its_ends() -> None:
    picture = blank(WHITE)
    line(picture, (50, 3), (8, 40), BLACK)
    assert picture[50, 3] == picture[8, 40] == BLACK
    assert (picture == BLACK).sum() == 43


def test_the_first_pictures_of_each_split_never_change() -> None:
    """A change here is a new benchmark: results before and after cannot be compared."""
    digests = {
        split: hashlib.sha256(b"".join(image for _, image in load_split(split, 5))).hexdigest()[:16]
        for split in ("train", "unlabelled", "validation", "test_id", "test_ood")
    }
    assert digests == GOLDEN


GOLDEN = {
    "train": "7c7dea9fb7bcb294",
    "unlabelled": "444af97ac9b0c088",
    "validation": "4386c7ebb8ccb322",
    "test_id": "392607a478b40b20",
    "test_ood": "ddbffea46d404052",
}
