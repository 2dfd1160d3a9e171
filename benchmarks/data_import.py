"""Imports a synthetic set of MathV360K's shape and size, and writes time and peak memory to data_import.md.

    python -m benchmarks.data_import [--records 360000] [--images 40000]

Each image decodes, each answer is read, and doubles are looked for, as with a real set. The images are small, so a real
set takes the decoding of its pixels more: about 10 ms for a megapixel on a core.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw

HERE = Path(__file__).parent
SHARES = ("--split", "train=0.98", "--split", "validation=0.01", "--split", "test_id=0.01")


def picture(number: int) -> bytes:
    """A small chart as JPEG; each number has another."""
    image = Image.new("RGB", (120, 90), "white")
    draw = ImageDraw.Draw(image)
    for place in range(8):
        height = 8 + (number * 37 + place * place * 53 + (number // 7) * place * 29) % 76
        draw.rectangle(
            (3 + 14 * place, 88 - height, 14 + 14 * place, 88), fill=(number * 13 % 256, 60 * place % 256, 99)
        )
    sink = BytesIO()
    image.save(sink, "JPEG", quality=85)
    return sink.getvalue()


def record(number: int, images: int) -> dict[str, object]:
    """A choice, an integer or a float in MathV360K's words."""
    image = f"TabMWP/images/{number % images}.jpg"
    kind = number % 3
    hint, question, answer = (
        (
            "Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.",
            f"Is bar {number} higher?\nChoices:\n(A) Yes\n(B) No",
            "The answer is A",
        ),
        (
            "Please answer the question requiring an integer answer and provide the final value, e.g., 1, at the end.",
            f"How many bars are above line {number}?",
            f"The answer is {number % 17}",
        ),
        (
            "Please answer the question requiring a floating-point number with one decimal place, e.g., 1.2.",
            f"What is the mean of series {number}?",
            f"The answer is {number % 91 / 10}",
        ),
    )[kind]
    return {
        "id": f"identity_{number}",
        "image": image,
        "conversations": [
            {"from": "human", "value": f"<image>\nHint: {hint}\nQuestion: {question}"},
            {"from": "gpt", "value": answer},
        ],
    }


def write_source(folder: Path, records: int, images: int) -> None:
    """The JSON list and its images."""
    target = folder / "data_images" / "TabMWP" / "images"
    target.mkdir(parents=True)
    for number in range(images):
        (target / f"{number}.jpg").write_bytes(picture(number))
    with (folder / "train_samples_all_tuning.json").open("w") as out:
        for number in range(records):
            out.write(f"{'[' if not number else ','}\n{json.dumps(record(number, images))}")
        out.write("\n]\n")


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=360_000)
    parser.add_argument("--images", type=int, default=40_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mstar-import-"))
    try:
        write_source(folder / "source", given.records, given.images)
        began = time.monotonic()
        command = [sys.executable, "-c", "from mstar.cli import main; main()", "data", "import"]
        subprocess.run([*command, folder / "source", "--as", folder / "set", *SHARES], check=True)
        seconds = time.monotonic() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    finally:
        shutil.rmtree(folder)
    page = (
        f"# Import of {given.records:,} records\n\n`python -m benchmarks.data_import` on {os.cpu_count()} cores shared "
        f"with other work: a synthetic set in MathV360K's shape, {given.images:,} images of 120 x 90.\n\n"
        f"| | |\n|---|---|\n| wall time | {seconds:.0f} s |\n| records a second | {given.records / seconds:.0f} |\n"
        f"| processor time | {used.ru_utime + used.ru_stime:.0f} s |\n"
        f"| peak memory of the largest process | {used.ru_maxrss / 1024:.0f} MiB |\n"
    )
    # What `benchmarks.data_admission` measured stays.
    _, heading, rest = (HERE / "data_import.md").read_text().partition("\n## ")
    (HERE / "data_import.md").write_text(page + heading + rest)
    print(page)


if __name__ == "__main__":
    main()
