"""The version of a folder that is not an artefact changes with whatever changes its answers, and with nothing else."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mstar_models.checkpoint import folder_version

FILES = ("config.json", "chat_template.jinja", "tokenizer.json", "preprocessor_config.json", "merges.txt")
MORE = ("generation_config.json", "tokenizer.model", "modeling_own.py", "additional_chat_templates/tools.jinja")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "small"
    (folder / "additional_chat_templates").mkdir(parents=True)
    save_file({"a": torch.ones(2)}, folder / "model.safetensors")
    for name in (*FILES, *MORE, "README.md", "LICENSE", "optimizer.pt", "adapter_config.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize("name", [*FILES, *MORE])
def test_a_version_is_of_all_that_changes_answers(folder: Path, name: str) -> None:
    before = folder_version(folder)
    assert before.startswith("small@") and folder_version(folder) == before
    (folder / name).write_text("{ }")
    changed = folder_version(folder)
    (folder / name).unlink()
    assert len({before, changed, folder_version(folder)}) == 3


def test_a_version_is_of_the_weights_and_of_the_names_of_files(folder: Path) -> None:
    before = folder_version(folder)
    save_file({"a": torch.zeros(2)}, folder / "model.safetensors")
    other = folder_version(folder)
    (folder / "chat_template.jinja").rename(folder / "template.jinja")
    assert len({before, other, folder_version(folder)}) == 3


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "optimizer.pt", "adapter_config.json"])
def test_a_version_does_not_hang_on_what_no_answer_comes_from(folder: Path, name: str) -> None:
    before = folder_version(folder)
    (folder / name).write_text("{ }")
    assert folder_version(folder) == before
