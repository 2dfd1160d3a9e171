"""A run that can't work is refused before anything is written."""

import json
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

import minivista
import prm_folders
from coordinator_bench import SMALL
from mstar.errors import Forbidden, InvalidDataset, InvalidInput, InvalidRecipe, MstarError, StorageFull
from mstar.model_folder import read_weights
from mstar.prompts import PRESETS, PROMPT_FILE, PromptPreset, PromptRecipe
from mstar.recipe_folder import RecipeFolder
from mstar.recipes import Recipe, parse_recipe
from mstar.run_plan import disk_bytes
from mstar.train_recipe import TrainRecipe
from mstar_coordinator.scheduler.admission import Trainers, admit, check_ranks, check_size
from mstar_coordinator.scheduler.data_admission import DataAdmission
from mstar_coordinator.scheduler.data_places import DataPlaces
from trusting_looks import TrustingLooks

PICTURE = (Path(__file__).parents[2] / "cases" / "pictures" / "grey16.png").read_bytes()
GIF = b"GIF89a" + bytes(40)
WRITERS = (
    prm_folders.qwen_math_prm,
    prm_folders.trl_prm,
    prm_folders.math_shepherd,
    prm_folders.ursa_rm,
    prm_folders.visual_prm,
)
SPLITS = {"train": 8, "validation": 4, "test_id": 4, "test_ood": 4}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed folder with a sound data set `set` and a sound model `model`."""
    for split, count in SPLITS.items():
        folder = tmp_path / "root" / "set" / split
        folder.mkdir(parents=True)
        rows = [{"file_name": f"{i}.png", "question": "How many?", "answer": "3"} for i in range(count)]
        (folder / "metadata.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
        for row in rows:
            (folder / row["file_name"]).write_bytes(PICTURE)
    shutil.copytree(minivista.MODEL_FOLDER, tmp_path / "root" / "model")
    return tmp_path / "root"


def with_sources(data: str = "set", base: str = "model") -> Recipe:
    return SMALL.model_copy(
        update={
            "data": SMALL.data.model_copy(update={"source": data}),
            "model": SMALL.model.model_copy(update={"base": base}),
        }
    )


LOOPS = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"


def admitted(recipe: Recipe, root: Path, reserve: int = 0) -> Recipe:
    found = admit(recipe, DataPlaces(root), root / "home" / "not" / "yet", reserve, Trainers())
    DataAdmission(lambda: nullcontext(TrustingLooks()), time.monotonic, 50, root / "home").check(found)
    return found


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


def test_a_model_without_safetensors_is_refused(root: Path) -> None:
    (root / "model" / "model.safetensors").rename(root / "model" / "pytorch_model.bin")
    with pytest.raises(InvalidInput, match="holds no safetensors"):
        admitted(with_sources(), root)


def test_weights_without_their_index_are_named(root: Path) -> None:
    (root / "model" / "model.safetensors").rename(root / "model" / "model-00001-of-00002.safetensors")
    with pytest.raises(
        InvalidInput, match=r"holds 'model-00001-of-00002\.safetensors' and no model\.safetensors\.index"
    ):
        admitted(with_sources(), root)


def test_a_hubs_cache_is_told_apart_from_the_model_in_it(root: Path) -> None:
    snapshots = root / "model" / "snapshots"
    (snapshots / "abc").mkdir(parents=True)
    (root / "model" / "config.json").rename(snapshots / "abc" / "config.json")
    with pytest.raises(InvalidInput, match=r"is a folder of a hub's cache: name the model below it, snapshots/abc"):
        admitted(with_sources(), root)


@pytest.mark.parametrize("section", ["", "text_config"])
def test_quantized_weights_are_refused_since_they_cannot_be_trained(root: Path, section: str) -> None:
    path = root / "model" / "config.json"
    config = json.loads(path.read_text())
    packed = {"quantization_config": {"quant_method": "fp8"}}
    path.write_text(json.dumps(config | ({section: config.get(section, {}) | packed} if section else packed)))
    with pytest.raises(InvalidInput, match=r"quantized weights, which cannot be trained .*, fp8\): take the folder of"):
        admitted(with_sources(), root)


def write_weights(path: Path, header: object, body: bytes) -> None:
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def tensor(begin: int, end: int, shape: list[int] | None = None) -> dict[str, object]:
    return {"dtype": "U8", "shape": [end - begin] if shape is None else shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("header", "body", "said"),
    [
        ({}, b"", "holds no tensor"),
        ([], b"", "not an object"),
        ({"a": tensor(0, 4)}, b"123", "3 bytes of tensors"),
        ({"a": tensor(0, 4)}, b"12345", "5 bytes of tensors"),
        ({"a": tensor(0, 4), "b": tensor(5, 6)}, b"123456", "does not begin where"),
        ({"a": tensor(0, 4, [5])}, b"1234", "shape that its bytes do not fill"),
        ({"a": tensor(0, 4, [-4])}, b"1234", "description of tensor 'a'"),
        ({"a": {"dtype": "X", "shape": [], "data_offsets": [0, 1]}}, b"1", "description of tensor 'a'"),
        ({"a": 3}, b"", "description of tensor 'a'"),
    ],
)
def test_damaged_weights_are_refused(root: Path, header: object, body: bytes, said: str) -> None:
    write_weights(root / "model" / "model.safetensors", header, body)
    with pytest.raises(InvalidInput, match=said) as refused:
        admitted(with_sources(), root)
    assert refused.value.field == "model.base"


@pytest.mark.parametrize("size", [0, 7, 100, 1_000_000])
def test_weights_that_were_cut_off_are_refused(root: Path, size: int) -> None:
    os.truncate(root / "model" / "model.safetensors", size)
    with pytest.raises(InvalidInput, match=r"damaged model\.safetensors"):
        admitted(with_sources(), root)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ({"weight_map": {"a": "part.safetensors", "b": "part.safetensors"}}, "lacks tensor 'b' in part"),
        ({"weight_map": {"a": "none.safetensors"}}, "lacks none.safetensors"),
        ({"weight_map": {"a": "../x.safetensors"}}, "no \\*.safetensors beside it"),
        ({"weight_map": {"a": 3}}, "no \\*.safetensors beside it"),
        ({"weight_map": []}, "has no weight_map"),
        ([], "not a JSON object"),
    ],
)
def test_the_index_of_the_weights_must_be_right(root: Path, index: object, said: str) -> None:
    write_weights(root / "model" / "part.safetensors", {"a": tensor(0, 1)}, b"1")
    (root / "model" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InvalidInput, match=said):
        admitted(with_sources(), root)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("config.json", "{", "config.json that is not valid JSON"),
        ("config.json", "[" * 10_000, "nested too deeply"),
        ("config.json", "{}", "no model_type"),
        (
            "config.json",
            '{"model_type": "llama"}',
            "model_type 'llama' in config.json, which is no vision-language model",
        ),
        ("config.json", '{"model_type": "phi3_v"}', "needs code from its folder, and that runs only where an operator"),
        ("config.json", '{"model_type": "a", "text_config": 3}', "text_config in config.json, which must be an object"),
        ("config.json", '{"model_type": "a", "vision_config": {"hidden_size": "b"}}', "hidden_size in config.json vis"),
        ("config.json", '{"model_type": ["a"]}', "model_type in config.json, which must be a text"),
        ("tokenizer.json", None, "has no tokenizer"),
        ("tokenizer.json", "{", "tokenizer.json that is not valid JSON"),
        ("processor_config.json", None, "has no image processor"),
        ("chat_template.jinja", None, "has no chat template"),
        (
            "chat_template.jinja",
            "{{ messages[0]['content'][-1]['text'] }}",
            "in chat_template.jinja that drops the image",
        ),
        ("chat_template.jinja", "{{ messages[0]['content'][0]['type'] }}", "drops the question"),
        (
            "chat_template.jinja",
            "{{ '<|user|>' + messages[0]['content'] }}",
            "does not take an image and a text as parts",
        ),
        ("chat_template.jinja", "{% for one in messages %}", "does not take an image and a text as parts"),
        ("chat_template.jinja", "{{ raise_exception('text only') }}", "parts of a message: text only"),
        ("chat_template.jinja", "{{ ''.__class__.__mro__ }}", "does not take an image and a text as parts"),
        ("chat_template.jinja", LOOPS, "more time or memory than a template needs"),
        ("chat_template.jinja", "{{ 'a' * 10 ** 12 }}", "an image and a text as parts of a message: MemoryError"),
    ],
)
def test_a_model_folder_that_lacks_a_part_is_refused(root: Path, name: str, text: str | None, said: str) -> None:
    path = root / "model" / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(InvalidInput, match=said) as refused:
        admitted(with_sources(), root)
    assert refused.value.field == "model.base"


def test_an_adapter_in_place_of_a_model_is_called_so(root: Path) -> None:
    (root / "model" / "config.json").rename(root / "model" / "adapter_config.json")
    with pytest.raises(InvalidInput, match="is an adapter, no model: merge it into its base"):
        admitted(with_sources(), root)


def test_an_adapter_with_the_configuration_of_its_base_is_called_so(root: Path) -> None:
    (root / "model" / "model.safetensors").rename(root / "model" / "adapter_model.safetensors")
    with pytest.raises(InvalidInput, match="is an adapter, no model: merge it into its base"):
        admitted(with_sources(), root)


IMAGE = "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
TEMPLATE = f"{{{{ bos_token }}}}{{% for part in messages[0]['content'] %}}{IMAGE}{{% endfor %}}"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("chat_template.jinja", TEMPLATE),
        ("chat_template.jinja", f"{{% generation %}}{TEMPLATE}{{%- endgeneration %}}{{{{ strftime_now('%Y') }}}}"),
        (
            "chat_template.jinja",
            "{%- if tools is not none %}{{ raise_exception('no tools') }}{% endif %}"
            "{%- set n = namespace(images=0) %}{%- for message in messages %}{%- if message.content is string %}"
            "{{- message.content | trim }}{%- else %}{%- for part in message.content | selectattr('type', 'equalto', "
            "'image') %}{%- set n.images = n.images + 1 %}Picture {{ n.images }}{%- endfor %}"
            "{%- for part in message.content if part.type == 'text' %}{{- part['text'] | trim }}{%- continue %}"
            "{%- endfor %}{%- endif %}{{ {'a': 1} | tojson(indent=2, ensure_ascii=True) }}{%- endfor %}",
        ),
        ("chat_template.json", json.dumps({"chat_template": TEMPLATE})),
        ("processor_config.json", json.dumps({"chat_template": TEMPLATE})),
        ("tokenizer_config.json", json.dumps({"chat_template": TEMPLATE, "bos_token": {"content": "<s>"}})),
        (
            "tokenizer_config.json",
            json.dumps(
                {"chat_template": [{"name": "tools", "template": ""}, {"name": "default", "template": TEMPLATE}]}
            ),
        ),
    ],
)
def test_a_template_is_found_wherever_folders_keep_it(root: Path, name: str, text: str) -> None:
    (root / "model" / "chat_template.jinja").unlink()
    (root / "model" / name).write_text(text)
    assert admitted(with_sources(), root)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("config.json", {"num_hidden_layers": 10**7}, "has num_hidden_layers 10000000 in config.json, and its weights"),
        (
            "config.json",
            {"vision_config": {"num_hidden_layers": 4000}},
            "has num_hidden_layers 4000 in config.json vision_config",
        ),
        ("config.json", {"dtype": "float7"}, "has dtype 'float7' in config.json, which must be one of auto, float64"),
        ("config.json", {"torch_dtype": "int8"}, "has torch_dtype 'int8' in config.json, which must be one of"),
        (
            "config.json",
            {"quantization_config": "4bit"},
            "has quantization_config in config.json, which must be an obj",
        ),
        (
            "tokenizer_config.json",
            {"tokenizer_class": 5},
            "has tokenizer_class in tokenizer_config.json, which must be",
        ),
        ("added_tokens.json", None, "has a added_tokens.json that is not valid JSON"),
        ("special_tokens_map.json", None, "has a special_tokens_map.json that is not valid JSON"),
    ],
)
def test_settings_that_no_model_has_are_named(root: Path, name: str, change: dict[str, Any] | None, said: str) -> None:
    path = root / "model" / name
    there = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text("{" if change is None else json.dumps(there | change))
    with pytest.raises(InvalidInput, match=re.escape(said)):
        admitted(with_sources(), root)


@pytest.mark.parametrize(
    ("encoding", "said"),
    [("utf-16", "is not UTF-8: save it as UTF-8"), ("utf-8-sig", "it begins with a byte-order mark: save it without")],
)
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_file_in_another_encoding_is_named(root: Path, name: str, encoding: str, said: str) -> None:
    path = root / "model" / name
    path.write_text(path.read_text(), encoding=encoding)
    with pytest.raises(InvalidInput, match=rf"has a {re.escape(name)} that .*{said}"):
        admitted(with_sources(), root)


def test_a_family_with_a_prompt_of_its_own_needs_no_template(root: Path) -> None:
    config = root / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "paligemma"}))
    (root / "model" / "chat_template.jinja").unlink()
    assert admitted(with_sources(), root)


def test_a_family_whose_code_is_allowed_is_admitted(root: Path) -> None:
    config = root / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "phi3_v"}))
    with pytest.raises(InvalidInput, match="needs code from its folder"):
        admitted(with_sources(), root)
    assert admit(with_sources(), DataPlaces(root), root / "home", 0, Trainers(), allowed=["phi3_v"])


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


def test_an_untried_family_is_admitted_where_the_operator_allows_it(root: Path) -> None:
    config = root / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "aria"}))
    recipe = with_sources()
    as_prm = recipe.model_copy(
        update={"model": SMALL.model, "prm": recipe.prm and recipe.prm.model_copy(update={"base": "model"})}
    )
    for one in (recipe, as_prm):
        with pytest.raises(InvalidInput, match="with MSTAR_COORDINATOR_UNTRIED_MODELS"):
            admitted(one, root)
        with pytest.raises(InvalidInput, match="was never tried with"):
            admit(one, DataPlaces(root), root / "home", 0, Trainers(), allowed=["fuyu"])
        assert admit(one, DataPlaces(root), root / "home", 0, Trainers(), allowed=["aria"])


def test_no_link_leads_out_of_a_model_folder(root: Path) -> None:
    (root / "elsewhere").write_text("{}")
    (root / "model" / "generation_config.json").unlink()
    (root / "model" / "generation_config.json").symlink_to(root / "elsewhere")
    with pytest.raises(InvalidInput, match="leads out of it"):
        admitted(with_sources(), root)


def test_a_snapshot_of_the_hub_may_link_to_its_blobs(root: Path) -> None:
    blobs, snapshot = root / "models--x" / "blobs", root / "models--x" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (root / "model").rename(blobs)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    assert admitted(with_sources(base="models--x/snapshots/abc"), root).model.base == str(snapshot)


@pytest.mark.parametrize(
    ("picture", "said"),
    [(GIF, "no PNG, JPEG or WebP"), (b"", "no PNG"), (PICTURE[:20], "cut off"), (PICTURE[:24] + bytes(60), "damaged")],
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


def with_prm(**fields: object) -> Recipe:
    assert SMALL.prm is not None
    return with_sources().model_copy(update={"prm": SMALL.prm.model_copy(update=fields)})


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
            "take the native folder of the same model, whose name ends in -hf",
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
