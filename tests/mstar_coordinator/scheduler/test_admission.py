"""A run that can't work is refused before anything is written."""

import os
import re
import shutil
from pathlib import Path

import pytest

from admission_bench import PICTURE, admitted, tensor, with_sources, write_weights
from coordinator_bench import SMALL
from mstar.errors import Forbidden, InvalidDataset, InvalidInput, InvalidRecipe, MstarError, StorageFull
from mstar.model_folder import read_weights
from mstar.prompts import PRESETS, PROMPT_FILE, PromptPreset, PromptRecipe
from mstar.recipe_folder import RecipeFolder
from mstar.recipes import Recipe, parse_recipe
from mstar.run_plan import disk_bytes
from mstar.train_recipe import TrainRecipe
from mstar_coordinator.scheduler.admission import Trainers, admit, check_ranks, check_size
from mstar_coordinator.scheduler.data_places import DataPlaces

GIF = b"GIF89a" + bytes(40)


def test_folders_below_the_root_become_absolute(root: Path) -> None:
    recipe = admitted(with_sources(), root)
    assert recipe.data.source == str(root / "set") and recipe.model.base == str(root / "model")
    assert admitted(with_sources(str(root / "set")), root) == recipe
    assert admitted(SMALL, root) == SMALL


@pytest.mark.parametrize(
    ("data", "base", "error", "field"),
    [
        ("..", "model", Forbidden, "data.source"),
        ("/etc", "model", Forbidden, "data.source"),
        ("set", "../..", Forbidden, "model.base"),
        ("nowhere", "model", InvalidInput, "data.source"),
        ("set", "nowhere", InvalidInput, "model.base"),
        ("set", "set", InvalidInput, "model.base"),
        ("builtin:mnist", "model", InvalidInput, "data.source"),
        ("set\x00", "model", InvalidInput, "data.source"),
        ("a" * 1000, "model", InvalidInput, "data.source"),
        ("set", "\ud800", InvalidInput, "model.base"),
    ],
)
def test_other_places_are_refused(root: Path, data: str, base: str, error: type[MstarError], field: str) -> None:
    with pytest.raises(error) as caught:
        admitted(with_sources(data, base), root)
    assert caught.value.field == field
    if not data.startswith("builtin:") and base != "set":
        assert "MSTAR_COORDINATOR_DATA_ROOT" in caught.value.detail


def test_the_study_s_set_and_base_are_admitted_up_to_their_sizes(root: Path) -> None:
    recipe = parse_recipe(RecipeFolder(Path(__file__).parents[3] / "recipes").named("study/base"))
    assert admitted(recipe, root) == recipe
    too_many = parse_recipe(recipe.model_dump(mode="json"), {"data.test_ood": 3001})
    with pytest.raises(InvalidRecipe, match="has 3000") as caught:
        admitted(too_many, root)
    assert caught.value.field == "data.test_ood"
    with pytest.raises(InvalidInput, match="builtin:minivista-study or a folder"):
        admitted(with_sources("builtin:minivista-studies"), root)


def test_a_link_does_not_lead_out_of_the_root(root: Path) -> None:
    (root / "link").symlink_to("/etc")
    with pytest.raises(Forbidden):
        admitted(with_sources("link"), root)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "train/metadata.jsonl line 2: not valid JSON"),
        ("[1]", "train/metadata.jsonl line 2: not a JSON object"),
        ('{"file_name": "1.png", "question": "?"}', "train/metadata.jsonl line 2: the answer is missing"),
        ('{"file_name": "no.png", "question": "?", "answer": "1"}', "line 2: image no.png"),
        ('{"file_name": "../../home/1.png", "question": "?", "answer": "1"}', "line 2: image"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(root: Path, line: str, message: str) -> None:
    metadata = root / "set" / "train" / "metadata.jsonl"
    lines = metadata.read_text().split("\n")
    metadata.write_text("\n".join([lines[0], line, *lines[2:]]))
    with pytest.raises(InvalidDataset, match=message):
        admitted(with_sources(), root)


def test_too_few_questions_are_told_with_the_field_to_change(root: Path) -> None:
    recipe = with_sources().model_copy(update={"data": with_sources().data.model_copy(update={"train": 9})})
    with pytest.raises(InvalidDataset, match="8 questions but the recipe wants 9") as caught:
        admitted(recipe, root)
    assert caught.value.field == "data.train"


def test_a_missing_split_is_named(root: Path) -> None:
    (root / "set" / "test_id" / "metadata.jsonl").unlink()
    with pytest.raises(InvalidDataset, match=r"test_id/metadata\.jsonl is missing"):
        admitted(with_sources(), root)


@pytest.mark.parametrize(
    ("separator", "said"),
    [
        ("\n", None),
        ("<step>", None),
        ("<end_of_utterance>", "holds '<end_of_utterance>', a special token, which is never sampled"),
        ("ки", "holds 'к', which no token spells"),
    ],
)
def test_steps_are_separated_by_what_the_model_can_write(separator: str, said: str | None, root: Path) -> None:
    prompt = PromptRecipe(step_separator=separator)
    for recipe in (one.model_copy(update={"prompt": prompt}) for one in (SMALL, with_sources())):
        if said is None:
            assert admit(recipe, DataPlaces(root), root / "home", 0, Trainers()).form.step_separator == separator
        else:
            with pytest.raises(InvalidInput, match=re.escape(said)) as refused:
                admit(recipe, DataPlaces(root), root / "home", 0, Trainers())
            assert refused.value.field == "prompt.step_separator"


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (GIF, "not a PNG, JPEG or WebP"),
        (b"", "not a PNG"),
        (PICTURE[:20], "cut off"),
        (PICTURE[:24] + bytes(60), "damaged"),
    ],
)
def test_a_file_that_is_no_picture_is_named_by_its_line(root: Path, picture: bytes, said: str) -> None:
    (root / "set" / "test_id" / "2.png").write_bytes(picture)
    with pytest.raises(InvalidDataset, match=rf"test_id/metadata\.jsonl line 3: image 2\.png .*{said}"):
        admitted(with_sources(), root)


def test_the_benchmark_that_ships_has_so_many_questions(root: Path) -> None:
    recipe = SMALL.model_copy(update={"data": SMALL.data.model_copy(update={"train": 10_000_000})})
    with pytest.raises(InvalidRecipe, match="has 6000: lower it") as refused:
        admitted(recipe, root)
    assert refused.value.field == "data.train"


def test_checkpoints_that_lie_elsewhere_need_no_room_at_home(root: Path) -> None:
    size = shutil.disk_usage(root).free // 8
    write_weights(root / "model" / "model.safetensors", {"a": tensor(0, size)}, b"")
    os.truncate(root / "model" / "model.safetensors", (root / "model" / "model.safetensors").stat().st_size + size)
    with pytest.raises(StorageFull):
        admitted(with_sources(), root)
    assert admit(with_sources(), DataPlaces(root), root / "home", 0, Trainers(), remote=True)


def test_a_full_disk_is_told_before_the_run(root: Path) -> None:
    with pytest.raises(StorageFull, match="free some disk"):
        admitted(SMALL, root, reserve=10**18)


def test_a_graph_that_nobody_could_hold_is_refused_at_once() -> None:
    with pytest.raises(InvalidRecipe) as caught:
        check_size(SMALL, 100_000)
    assert caught.value.field == "generation.shard_questions"
    check_size(SMALL, 100)


def test_ranks_that_the_nodes_cannot_share_are_refused_by_field() -> None:
    shared = SMALL.model_copy(
        update={
            name: part.model_copy(update={"train": part.train.model_copy(update={"ranks": 8})})
            for name in ("warmup", "prm", "evolution")
            if (part := getattr(SMALL, name)) is not None
        }
    )
    for nodes in (1, 2, 4, 8):
        check_ranks(shared, nodes)
    check_ranks(SMALL, 1)
    for name in ("warmup", "prm", "evolution"):
        with pytest.raises(InvalidRecipe, match=f"{name}.train.ranks is 1, which the 4 nodes") as caught:
            check_ranks(shared.model_copy(update={name: getattr(SMALL, name)}), 4)
        assert caught.value.field == f"{name}.train.ranks" and "a multiple of 4" in caught.value.detail
    with pytest.raises(InvalidRecipe, match="ranks is 8, which the 3 nodes"):
        check_ranks(shared, 3)


def trained_with(recipe: Recipe, **options: object) -> Recipe:
    assert recipe.warmup is not None
    train = TrainRecipe.model_validate(recipe.evolution.train.model_dump() | options)
    changed = {
        name: getattr(recipe, name).model_copy(update={"train": train}) for name in ("warmup", "prm", "evolution")
    }
    return recipe.model_copy(update=changed)


def test_four_bit_weights_are_refused_where_no_trainer_can_hold_them(root: Path) -> None:
    recipe = trained_with(with_sources(), lora={"quantize": True})
    with pytest.raises(
        InvalidRecipe, match="install bitsandbytes there and set MSTAR_COORDINATOR_TRAINING_FOUR_BIT"
    ) as no:
        admitted(recipe, root)
    assert no.value.field == "warmup.train.lora.quantize"
    assert admit(recipe, DataPlaces(root), root / "home", 0, Trainers(four_bit=True))


def test_a_layer_that_the_base_does_not_have_is_refused_as_a_target(root: Path) -> None:
    assert admitted(trained_with(with_sources(), lora={"targets": ["q_proj", "mlp.down_proj"]}), root)
    with pytest.raises(InvalidRecipe, match=r"is called 'query'; there are .*q_proj") as no:
        admitted(trained_with(with_sources(), lora={"targets": ["query"]}), root)
    assert no.value.field == "warmup.train.lora.targets"


def test_a_training_that_does_not_fit_into_the_gpus_says_what_to_change(root: Path) -> None:
    assert admit(with_sources(), DataPlaces(root), root / "home", 0, Trainers(gpu_gb=80))
    with pytest.raises(
        InvalidRecipe, match=r"warmup\.train needs about \d+ GB .*change gradient_checkpointing: true"
    ) as no:
        admit(with_sources(), DataPlaces(root), root / "home", 0, Trainers(gpu_gb=2.1))
    assert no.value.field == "warmup.train"


def test_the_disk_is_reckoned_by_what_is_trained(root: Path) -> None:
    weights = read_weights(root / "model")
    full, lora = (
        disk_bytes(recipe, weights) for recipe in (with_sources(), trained_with(with_sources(), lora={"rank": 2}))
    )
    checkpoints = SMALL.evolution.iterations + 2
    assert full > 12 * checkpoints * weights.parameters
    assert lora < full / 2


def test_a_model_that_a_run_has_left_is_asked_as_that_run_asked_it(root: Path) -> None:
    form = PRESETS[PromptPreset.BOXED].model_copy(update={"system": "Be exact."})
    (root / "model" / PROMPT_FILE).write_text(form.model_dump_json())
    assert admitted(with_sources(), root).form == form
    own = with_sources().model_copy(update={"prompt": PromptRecipe(system="Other.")})
    assert admitted(own, root).form == form.model_copy(update={"system": "Other."})
    anew = with_sources().model_copy(update={"prompt": PromptRecipe(preset=PromptPreset.MSTAR)})
    assert admitted(anew, root).form == PRESETS[PromptPreset.MSTAR]
    (root / "model" / PROMPT_FILE).write_text("{}")
    with pytest.raises(InvalidInput, match="holds no prompt that this version can read"):
        admitted(with_sources(), root)


def test_a_file_to_import_and_its_mapping_lie_below_the_root(root: Path) -> None:
    (root / "rows.jsonl").write_text('{"ask": "How many?", "gold": 3}\n')
    (root / "map.yaml").write_text("columns: {question: ask, answer: gold}\nsplits: {held_out: ../../ids.txt}\n")
    (root.parent / "outside.yaml").write_text("first_index: 1\n")

    def recipe(mapping: str) -> Recipe:
        plan = with_sources("rows.jsonl")
        return plan.model_copy(update={"data": plan.data.model_copy(update={"mapping": mapping})})

    for mapping, error in (("map.yaml", Forbidden), ("../outside.yaml", Forbidden), ("none.yaml", InvalidInput)):
        with pytest.raises(error) as refused:
            admit(recipe(mapping), DataPlaces(root), root / "home", 0, Trainers())
        assert refused.value.field == "data.mapping"
    (root / "map.yaml").write_text("columns: {question: ask, answer: gold}\n")
    found = admit(recipe("map.yaml"), DataPlaces(root), root / "home", 0, Trainers())
    assert (found.data.source, found.data.mapping) == (str(root / "rows.jsonl"), str(root / "map.yaml"))
