"""Questions of the benchmark that ships, written as LLaVA conversations the way MathV360K is published."""

import json
from collections.abc import Mapping
from pathlib import Path

from minivista.builtin import BUILTINS


def write_llava(folder: Path, sizes: Mapping[str, int], builtin: str = "builtin:minivista") -> None:
    """`sizes`: split → questions. One file of records, with a column for the split, and a folder of images."""
    rows = []
    for split, size in sizes.items():
        for number, (question, png) in enumerate(BUILTINS[builtin].load_split(split, size)):
            image = folder / "images" / f"{split}-{number}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(png)
            assert question.answer is not None
            turns = [
                {"from": "human", "value": f"<image>\nQuestion: {question.text}"},
                {"from": "gpt", "value": f"The answer is {question.answer.value}"},
            ]
            rows.append({"id": question.id, "image": image.name, "split": split, "conversations": turns})
    (folder / "records.json").write_text(json.dumps(rows))
