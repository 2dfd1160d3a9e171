"""The prepared artefact: all questions, their images, and a base model without anything that could run."""

from pathlib import Path

import pytest

from minivista.builtin import BUILTINS
from mstar.errors import InvalidInput
from mstar.recipes import DataRecipe, ModelRecipe, UnlabelledRecipe
from mstar.stages.prepare import PrepareParams, PrepareResult
from mstar_coordinator.worker.steps import prepare
from work_bench import SIZES, Bench


def test_questions_of_every_split_come_with_their_images(bench: Bench) -> None:
    prepared = bench.inputs["prepare"].artefact
    assert prepared is not None
    for split, size in SIZES.items():
        found = prepare.questions(bench.store, prepared, split)
        assert [question.split for question in found] == [split] * size
        assert all(bench.images.get(question.images[0]).startswith(b"\x89PNG") for question in found)
        assert len({question.id for question in found}) == size


def test_the_model_is_a_copy_without_pickles_and_modules(bench: Bench, tmp_path: Path) -> None:
    prepared = bench.inputs["prepare"].artefact
    assert prepared is not None
    (tmp_path / "base" / "model.safetensors").write_text("changed later")
    folder = bench.store.verify(prepared) / "model"
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_only_the_files_of_a_model_are_copied(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name in (".env", "id_rsa", "notes.txt", "modeling.py", "old.safetensors", "vocab.json", "LICENSE.txt"):
        (tmp_path / "base" / name).write_text("{}")
    bench.prepare()
    prepared = bench.inputs["prepare"].artefact
    assert prepared is not None
    copied = sorted(path.name for path in (bench.store.verify(prepared) / "model").iterdir())
    assert copied == ["LICENSE.txt", "config.json", "model.safetensors", "vocab.json"]


def test_a_type_of_model_that_nobody_has_tried_is_noted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.prepare()
    assert _prepared(bench).untried == ()
    other = Bench(tmp_path / "other")
    (tmp_path / "other" / "base" / "config.json").write_text('{"model_type": "llama4"}')
    other.prepare()
    assert _prepared(other).untried == ("llama4",)


def _prepared(bench: Bench) -> PrepareResult:
    result = bench.inputs["prepare"].result
    assert isinstance(result, PrepareResult)
    return result


def test_doing_it_again_gives_the_same_artefact(tmp_path: Path) -> None:
    first, second = Bench(tmp_path / "a"), Bench(tmp_path / "b")
    second.recipe = first.recipe
    first.prepare()
    second.prepare()
    assert first.inputs["prepare"].artefact == second.inputs["prepare"].artefact


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_a_builtin_set_and_model_need_no_folder(tmp_path: Path, name: str) -> None:
    bench = Bench(tmp_path)
    data = DataRecipe(source=name, train=4, validation=4, test_id=2, test_ood=0)
    bench.recipe = bench.recipe.model_copy(update={"data": data, "model": ModelRecipe(base=name)})
    bench.prepare()
    prepared = bench.inputs["prepare"].artefact
    assert prepared is not None
    question = prepare.questions(bench.store, prepared, "train")[3]
    assert bench.images.get(question.images[0]).startswith(b"\x89PNG")
    assert question.source == name.partition(":")[2]
    weights = bench.store.path(prepared.id) / "model" / "model.safetensors"
    assert weights.read_bytes() == (BUILTINS[name].model / "model.safetensors").read_bytes()
    assert prepare.questions(bench.store, prepared, "test_ood") == ()


def test_a_model_without_safetensors_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "base" / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match="no safetensors"):
        bench.prepare()
    claim = bench.claim("prepare", PrepareParams())
    assert bench.store.find(claim.output_id) is None
    assert list(bench.store.path(claim.run_id).iterdir()) == []


def test_answers_of_unlabelled_questions_reach_no_worker_but_the_oracles(tmp_path: Path) -> None:
    for oracle in (False, True):
        bench = Bench(tmp_path / str(oracle))
        data = DataRecipe(train=4, validation=4, test_id=2, test_ood=0, unlabelled=6)
        plan = bench.recipe.evolution.model_copy(update={"unlabelled": UnlabelledRecipe(oracle=oracle)})
        bench.recipe = bench.recipe.model_copy(update={"data": data, "model": ModelRecipe(), "evolution": plan})
        bench.prepare()
        prepared = bench.inputs["prepare"].artefact
        assert prepared is not None
        found = prepare.questions(bench.store, prepared, "unlabelled")
        assert [question.answer is not None for question in found] == [oracle] * 6
        assert all(question.answer for question in prepare.questions(bench.store, prepared, "train"))
