"""The child process that fingerprints untrusted images: `python -m mstar_models.image_fingerprints`.

It reads frames as `image_decoder` does, under the same limits, and answers each with a JSON line. Two pictures of the
same thing have fingerprints that differ little, whatever their size, format and compression.
"""

import json
from itertools import pairwise

from mstar_models.image_decoder import decode, serve

SIDE = 16
"""The outline is SIDE x SIDE bits: is a place brighter than its right neighbour?"""
MARGIN = 2
"""Levels of grey; compression makes flat parts uneven by less."""
PATCHES = 4
"""Colours are the means of PATCHES x PATCHES parts, so that flat pictures of different colours differ."""


def fingerprint(data: bytes) -> bytes:
    """A line with width, height, outline and colours in hexadecimal. Raises Refused."""
    from PIL import Image

    width, height, pixels = decode(data)
    image = Image.frombytes("RGB", (width, height), pixels)
    # Means over boxes (BOX), so that size and compression hardly matter; one column more, for the last neighbour.
    grey = image.resize((SIDE + 1, SIDE), Image.Resampling.BOX).convert("L").tobytes()
    bits = 0
    for row in range(SIDE):
        line = grey[row * (SIDE + 1) : (row + 1) * (SIDE + 1)]
        for left, right in pairwise(line):
            bits = bits << 1 | (left > right + MARGIN)
    colours = image.resize((PATCHES, PATCHES), Image.Resampling.BOX).tobytes()
    found = {"width": width, "height": height, "outline": f"{bits:064x}", "colours": colours.hex()}
    return json.dumps(found).encode() + b"\n"


if __name__ == "__main__":
    serve(fingerprint)
