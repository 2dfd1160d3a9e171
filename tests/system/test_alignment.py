"""`mstar doctor --align`: every engine, PRM and trainer see the same prompts, for tokenizers of several kinds."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from family_folders import write_folder
from model_families import FAMILIES
from mstar.alignment import compare
from mstar_policy import align as policy_align
from mstar_policy.config import PolicySettings
from mstar_prm import align as prm_align
from mstar_trainer import align as trainer_align

ROOT = Path(__file__).parents[2]


WITHOUT_VLLM = (
    "import importlib.util as u; there = u.find_spec; u.find_spec = lambda n: None if n == 'vllm' else there(n)"
)
"""vLLM takes minutes to start on a CPU."""


def align(model: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    env = {key: value for key, value in os.environ.items() if not key.startswith("MSTAR_")}
    env |= {"PYTHONPATH": f"{ROOT / 'shared'}:{ROOT / 'services'}", "NO_COLOR": "1", "COLUMNS": "160"}
    # It starts others as it was started itself.
    code = f"import sys; sys.executable = {sys.executable!r}; {WITHOUT_VLLM}; from mstar.cli import main; main()"
    command = [sys.executable, "-c", code, "doctor", "--align"]
    return subprocess.run([*command, str(model), *options], env=env, capture_output=True, text=True, timeout=900)


def family(name: str, folder: Path) -> Path:
    (found,) = (one for one in FAMILIES if one.name == name)
    return write_folder(found, folder / name)


@pytest.mark.parametrize("name", ["llava", "qwen2_5_vl", "idefics3"])
def test_all_see_the_same(name: str, tmp_path: Path) -> None:
    """Pieces with a space before the first word, byte pairs with positions on three axes, and an image in tiles."""
    torch.set_num_threads(1)
    folder = family(name, tmp_path)
    # Folders of a hub say nothing of a PRM; one is trained on them.
    (folder / "prm_scheme.json").unlink()
    policy = asyncio.run(policy_align.look(folder, "transformers", PolicySettings(home=tmp_path)))
    views = [policy, prm_align.look(folder), trainer_align.look(folder, tmp_path, policy.responses)]
    lines = compare(views)
    assert len(lines) == 3 * 3 + 1
    for line in lines:
        who = {"policy (transformers)", "trainer"} | (set() if line.what.startswith("response") else {"PRM"})
        assert line.equal and set(line.cells) == who, line
    assert {prompt.image_tokens > 0 for view in views for prompt in view.prompts} == {True}
    tokens = {line.cells["PRM"] for line in lines if line.what.endswith(": tokens")}
    assert len(tokens) == (1 if name == "llava" else 3), "pictures of three shapes have other prompts where tiles count"
    assert len(policy.responses[0].ids) > 1


def test_the_command_says_so_by_its_exit_code(tmp_path: Path) -> None:
    """A vocabulary without labels has no PRM, which is said in its place."""
    folder = family("llava", tmp_path)
    (folder / "prm_scheme.json").unlink()
    path = folder / "tokenizer.json"
    written = json.loads(path.read_text())
    vocabulary = written["model"]["vocab"]
    vocabulary["plus"], vocabulary["minus"] = vocabulary.pop("+"), vocabulary.pop("-")
    path.write_text(json.dumps(written))
    done = align(folder, "--json")
    assert done.returncode == 1, done.stderr
    first, *others = json.loads(done.stdout)["lines"]
    assert first["what"] == "PRM" and not first["equal"] and "label" in first["detail"]
    assert len(others) == 10 and all(line["equal"] for line in others)
    assert {name for line in others for name in line["cells"]} == {"policy (transformers)", "trainer"}


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = align(tmp_path)
    assert done.returncode == 1
    assert "is not a model folder" in done.stderr and len(done.stderr.strip().splitlines()) == 1
