"""Every mode of a picture becomes the RGB that a person would see on white paper."""

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mstar_models.pictures import upright_rgb

CASES = Path(__file__).parents[1] / "cases" / "pictures"
ORIENTATION = 0x0112


def reread(image: Image.Image, kind: str, **options: Any) -> Image.Image:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return Image.open(io.BytesIO(out.getvalue()))


def colours(image: Image.Image) -> list[Any]:
    """Pixels, row by row."""
    return list(upright_rgb(image).get_flattened_data())


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_is_white_paper(kind: str) -> None:
    image = Image.new("RGBA", (3, 1), (10, 20, 30, 0))
    image.putpixel((1, 0), (10, 20, 30, 255))
    image.putpixel((2, 0), (0, 0, 0, 51))
    assert colours(reread(image, kind, lossless=True)) == [(255, 255, 255), (10, 20, 30), (204, 204, 204)]


def test_transparent_grey_and_palettes_are_on_white_too() -> None:
    grey = Image.new("LA", (2, 1), (0, 0))
    grey.putpixel((1, 0), (90, 255))
    assert colours(reread(grey, "PNG")) == [(255, 255, 255), (90, 90, 90)]
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert colours(reread(palette, "PNG", transparency=0)) == [(255, 255, 255), (40, 50, 60)]
    assert colours(reread(palette, "PNG", transparency=bytes([255, 0]))) == [(10, 20, 30), (255, 255, 255)]


@pytest.mark.parametrize(("mode", "clear"), [("L", 7), ("RGB", (7, 8, 9)), ("I;16", 700)])
def test_one_colour_that_stands_for_nothing_is_white(mode: str, clear: Any) -> None:
    image = Image.new(mode, (2, 1), clear)
    image.putpixel((1, 0), 0 if isinstance(clear, int) else (1, 2, 3))
    first, second = colours(reread(image, "PNG", transparency=clear))
    assert first == (255, 255, 255)
    assert second == ((0, 0, 0) if isinstance(clear, int) else (1, 2, 3))


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=20))
def test_grey_of_16_bits_is_scaled(values: list[int]) -> None:
    image = Image.new("I;16", (len(values), 1))
    image.putdata(values)
    for seen in (image, reread(image, "PNG")):
        assert [colour[0] for colour in colours(seen)] == [round(value / 257) for value in values]


@pytest.mark.parametrize(
    ("mode", "values", "expected"),
    [
        ("I", [0, 257, 65535], [0, 1, 255]),
        ("I", [0, 100, 255], [0, 100, 255]),
        ("F", [0.0, 0.5, 1.0], [0, 128, 255]),
        ("F", [0.0, 100.0, 255.0], [0, 100, 255]),
        ("F", [-10.0, 0.0, 245.0], [0, 10, 245]),
        ("I", [0, 1_000_000, 2_000_000], [0, 128, 255]),
        ("F", [0.0, 0.0, 0.0], [0, 0, 0]),
    ],
)
def test_grey_of_other_depths_is_scaled_by_its_range(mode: str, values: list[Any], expected: list[int]) -> None:
    image = Image.new(mode, (3, 1))
    image.putdata(values)
    assert [colour[0] for colour in colours(image)] == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "LAB"])
def test_other_modes_keep_their_colours(mode: str) -> None:
    white = Image.new("RGB", (2, 2), (255, 255, 255))
    image = white.convert(mode) if mode not in ("LAB", "HSV") else Image.new(mode, (2, 2))
    assert upright_rgb(image).mode == "RGB"
    if mode not in ("LAB", "HSV"):
        assert all(band >= 254 for colour in colours(image) for band in colour)


def test_a_print_ready_jpeg_has_its_colours() -> None:
    photo = reread(Image.new("RGB", (8, 8), (200, 40, 60)).convert("CMYK"), "JPEG", quality=95)
    assert photo.mode == "CMYK"
    assert all(abs(a - b) < 8 for a, b in zip(colours(photo)[0], (200, 40, 60), strict=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_turned_upright(kind: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # The camera was held on its side.
    photo = Image.new("RGB", (16, 8), (255, 255, 255))
    photo.paste((0, 0, 0), (0, 0, 8, 8))
    upright = upright_rgb(reread(photo, kind, exif=exif))
    assert upright.size == (8, 16)
    assert upright.getpixel((4, 2)) == (0, 0, 0)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_broken_orientation_is_no_reason_to_refuse_a_picture() -> None:
    data = reread(Image.new("RGB", (8, 4)), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xff")
    assert upright_rgb(data).size == (8, 4)


def test_the_cases_are_seen_right() -> None:
    transparent = upright_rgb(Image.open(CASES / "transparent.png"))
    counts = dict((colour, count) for count, colour in transparent.getcolors())
    assert counts == {(0, 0, 0): 400, (255, 255, 255): 3696}
    with Image.open(CASES / "grey16.png") as deep:
        values = list(deep.get_flattened_data())
        shades = [colour[0] for colour in upright_rgb(deep).get_flattened_data()]
    assert shades == [round(value / 257) for value in values]
    assert len(set(shades)) > 50
