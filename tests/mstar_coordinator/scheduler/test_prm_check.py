"""A PRM that cannot score, or cannot be trained, is refused before anything is written; published ones are not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import prm_folders
from admission_bench import admitted, with_prm, with_sources
from coordinator_bench import SMALL
from mstar.errors import InvalidInput
from mstar.prompts import PromptRecipe
from mstar_coordinator.scheduler.admission import Trainers, admit
from mstar_coordinator.scheduler.data_places import DataPlaces

WRITERS = (
    prm_folders.qwen_math_prm,
    prm_folders.trl_prm,
    prm_folders.math_shepherd,
    prm_folders.ursa_rm,
    prm_folders.visual_prm,
)


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_published_prms_of_every_scheme_are_admitted(root: Path, write: Callable[[Path], Path]) -> None:
    write(root / "prm")
    prm = admitted(with_prm(base="prm", train=None), root).prm
    assert prm is not None and prm.base == str(root / "prm")


@pytest.mark.parametrize(
    ("write", "change", "train", "part"),
    [
        (prm_folders.visual_prm, {"prm_scheme.json": None}, False, "does not say how a step is scored: config.json"),
        (prm_folders.visual_prm, {"prm_scheme.json": {"scheme": "stars"}}, False, "prm_scheme.json with a bad scheme"),
        (prm_folders.visual_prm, {"prm_scheme.json": {"scheme": "value-head"}}, False, "has no head for the scheme"),
        (prm_folders.visual_prm, {"preprocessor_config.json": None, "processor_config.json": None}, False, "processor"),
        (prm_folders.qwen_math_prm, {"tokenizer.json": None}, False, "has no tokenizer"),
        (
            prm_folders.visual_prm,
            {"config.json": {"model_type": "internvl_chat", "vision_config": {}}},
            False,
            "use the native folder of the same model, whose name ends in -hf",
        ),
        (prm_folders.visual_prm, {"config.json": {"model_type": "phi3_v"}}, False, "needs code from its folder"),
        (prm_folders.visual_prm, {}, True, "scores steps by turns in a way that is not trained here"),
        (prm_folders.math_shepherd, {}, True, "sees no images"),
    ],
)
def test_a_prm_that_cannot_serve_is_refused_in_one_sentence(
    root: Path, write: Callable[[Path], Path], change: dict[str, object], train: bool, part: str
) -> None:
    folder = write(root / "prm")
    for name, value in change.items():
        if value is None:
            (folder / name).unlink()
        else:
            (folder / name).write_text(json.dumps(value))
    assert SMALL.prm is not None
    with pytest.raises(InvalidInput) as refused:
        admitted(with_prm(base="prm", train=SMALL.prm.train if train else None), root)
    assert refused.value.field == "prm.base" and refused.value.detail.startswith("prm.base 'prm' ")
    assert part in refused.value.detail and "\n" not in refused.value.detail


def test_a_prm_that_is_not_trained_reads_steps_as_it_was_trained_on_them(root: Path) -> None:
    prm_folders.declare(prm_folders.visual_prm(root / "prm"), scheme="label-tokens", step_separator="\n")
    recipe = with_prm(base="prm", train=None)
    lines = recipe.model_copy(update={"prompt": PromptRecipe(step_separator="\n")})
    assert admit(lines, DataPlaces(root), root / "home", 0, Trainers()).form.step_separator == "\n"
    said = r"^prm\.base 'prm' was trained on steps with '\\n' between them.*: set prompt\.step_separator to its own"
    with pytest.raises(InvalidInput, match=said) as refused:
        admitted(recipe, root)
    assert refused.value.field == "prm.base"
    assert SMALL.prm is not None
    assert admitted(with_prm(base="prm", train=SMALL.prm.train), root), "trained anew it learns the recipe's"


def test_a_base_whose_vocabulary_has_no_labels_is_refused_before_anything_is_sampled(root: Path) -> None:
    path = root / "model" / "tokenizer.json"
    assert "<good>" in path.read_text()
    path.write_text(path.read_text().replace("<good>", "<well>").replace('"+"', '"plus"'))
    with pytest.raises(InvalidInput, match="neither <good>/<bad> nor") as refused:
        admitted(with_sources(), root)
    assert refused.value.field == "model.base"
