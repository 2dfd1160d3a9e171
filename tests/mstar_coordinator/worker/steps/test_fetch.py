"""The fetched artefact: a PRM's own files, as they were when the run began."""

from pathlib import Path

import pytest

from mstar.recipes import PrmRecipe
from mstar.stages.fetch import FetchParams
from mstar_coordinator.worker.steps import fetch
from work_bench import Bench


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "prm_scheme.json", "modeling_prm.py", ".env", "train.log"):
        (folder / name).write_text("{}")
    return folder


def test_a_prm_is_copied_with_its_declaration_and_without_code(bench: Bench, published: Path) -> None:
    prm = PrmRecipe(base=str(published), train=None)
    bench.recipe = bench.recipe.model_copy(update={"prm": prm})
    ref, result = fetch.run(bench.step("reward/fetch", FetchParams()))
    assert ref is not None and result.kind == "done"
    folder = bench.store.verify(ref) / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "prm_scheme.json"]
    (published / "config.json").write_text("changed later")
    assert (folder / "config.json").read_text() == "{}"
