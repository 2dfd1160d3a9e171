"""A model folder that cannot work is refused by what is wrong in it, before anything is written."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from admission_bench import admitted, tensor, with_sources, write_weights
from coordinator_bench import SMALL
from mstar.errors import InvalidInput
from mstar.recipe_inheritance import overlaid
from mstar_coordinator.scheduler.admission import Trainers, admit
from mstar_coordinator.scheduler.data_places import DataPlaces

LOOPS = "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}"


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


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("gemma/config.json", "has no config.json: name the model below it, gemma"),
        ("checkpoint-500/config.json", "has no config.json: name the model below it, checkpoint-500"),
        ("models--a--b/snapshots/c0/config.json", "name the model below it, models--a--b/snapshots/c0"),
        ("consolidated.00.pth", "weights for other programs: take the same model's folder for transformers"),
    ],
)
def test_what_lies_below_a_folder_without_a_model_is_named(root: Path, below: str, said: str) -> None:
    path = root / "model" / below
    path.parent.mkdir(parents=True, exist_ok=True)
    (root / "model" / "config.json").rename(path)
    with pytest.raises(InvalidInput, match=re.escape(said)):
        admitted(with_sources(), root)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
@pytest.mark.parametrize("lost", [True, False])
def test_a_download_that_is_not_whole_says_how_to_get_it(root: Path, name: str, lost: bool) -> None:
    """A link into a cache that was tidied up, or what git leaves of a large file."""
    path = root / "model" / name
    path.unlink()
    if lost:
        path.symlink_to(root / "model" / "gone")
    else:
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5000000\n")
    said = rf"link {name} that leads to no file: download the model" if lost else rf"{name}.* `git lfs pull`"
    with pytest.raises(InvalidInput, match=said):
        admitted(with_sources(), root)


def test_a_processor_without_settings_for_images_is_refused(root: Path) -> None:
    (root / "model" / "processor_config.json").write_text('{"processor_class": "Idefics3Processor"}')
    with pytest.raises(
        InvalidInput, match=r"has no preprocessor_config\.json, and no image_processor in processor_con"
    ):
        admitted(with_sources(), root)


@pytest.mark.parametrize("section", ["", "text_config"])
def test_quantized_weights_are_refused_since_they_cannot_be_trained(root: Path, section: str) -> None:
    path = root / "model" / "config.json"
    config = json.loads(path.read_text())
    packed = {"quantization_config": {"quant_method": "fp8"}}
    path.write_text(json.dumps(config | ({section: config.get(section, {}) | packed} if section else packed)))
    with pytest.raises(InvalidInput, match=r"quantized weights, which cannot be trained .*, fp8\): take the folder of"):
        admitted(with_sources(), root)


def test_an_adapter_beside_a_whole_model_is_not_left_out_in_silence(root: Path) -> None:
    (root / "model" / "adapter_config.json").write_text("{}")
    with pytest.raises(InvalidInput, match=r"holds an adapter_config\.json beside the model: merge the adapter"):
        admitted(with_sources(), root)


@pytest.mark.parametrize("kind", ["I8", "F8_E4M3"])
def test_packed_weights_of_which_the_configuration_says_nothing_are_refused(root: Path, kind: str) -> None:
    packed = {"layers.0.weight": tensor(0, 4, [2, 2]) | {"dtype": kind}}
    write_weights(root / "model" / "model.safetensors", packed, b"1234")
    with pytest.raises(InvalidInput, match=rf"layers\.0\.weight of type {kind} in model\.safetensors\), and config"):
        admitted(with_sources(), root)


@pytest.mark.parametrize(
    ("said", "head", "refused"),
    [
        ({"tie_word_embeddings": True}, b"5678", True),
        ({"text_config": {"tie_word_embeddings": True}}, b"5678", True),
        ({"tie_word_embeddings": True}, b"1234", False),
        ({"tie_word_embeddings": False}, b"5678", False),
        ({"tie_word_embeddings": False, "text_config": {"tie_word_embeddings": True}}, b"5678", False),
    ],
)
def test_a_head_other_than_the_embeddings_that_it_is_tied_to_is_refused(
    root: Path, said: dict[str, Any], head: bytes, refused: bool
) -> None:
    """With such a folder vLLM takes the embeddings alone, and transformers both."""
    config = root / "model" / "config.json"
    config.write_text(json.dumps(overlaid(json.loads(config.read_text()), said)))
    matrix = {"dtype": "BF16", "shape": [1, 2]}
    names = ("model.embed_tokens.weight", "lm_head.weight", "layers.0.weight")
    both = {name: matrix | {"data_offsets": [4 * n, 4 * n + 4]} for n, name in enumerate(names)}
    write_weights(root / "model" / "model.safetensors", both, b"1234" + head + b"9999")
    if not refused:
        admitted(with_sources(), root)
        return
    with pytest.raises(InvalidInput, match=r"an output head lm_head\.weight other than .*: write false there if"):
        admitted(with_sources(), root)


def test_a_counter_beside_plain_weights_is_no_packed_weight(root: Path) -> None:
    numbers = {"layers.0.weight": {"dtype": "BF16", "shape": [1, 2], "data_offsets": [0, 4]}, "seen": tensor(4, 5)}
    write_weights(root / "model" / "model.safetensors", numbers, b"12345")
    admitted(with_sources(), root)


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
        ({"weight_map": {"a": "../x.safetensors"}}, "not a \\*.safetensors file beside it"),
        ({"weight_map": {"a": 3}}, "not a \\*.safetensors file beside it"),
        ({"weight_map": []}, "has no weight_map"),
        ({"weight_map": {"a": "part.safetensors"}}, 'add "metadata": {}'),
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
            "model_type 'llama' in config.json, which is not a vision-language model",
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
    with pytest.raises(InvalidInput, match="is an adapter, not a model: merge it into its base"):
        admitted(with_sources(), root)


def test_an_adapter_with_the_configuration_of_its_base_is_called_so(root: Path) -> None:
    (root / "model" / "model.safetensors").rename(root / "model" / "adapter_model.safetensors")
    with pytest.raises(InvalidInput, match="is an adapter, not a model: merge it into its base"):
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
        ("processor_config.json", json.dumps({"chat_template": TEMPLATE, "image_processor": {"do_resize": True}})),
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


@pytest.mark.parametrize("name", ["chat_template.json", "processor_config.json"])
def test_of_several_templates_that_is_looked_at_which_the_processor_takes(root: Path, name: str) -> None:
    (root / "model" / name).write_text(json.dumps({"chat_template": "{{ messages[0]['content'][0]['type'] }}"}))
    with pytest.raises(InvalidInput, match=f"{name} that drops the question"):
        admitted(with_sources(), root)


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
        ("config.json", {"dtype": "torch.bfloat16"}, "has dtype 'torch.bfloat16' in config.json, which must be one of"),
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


def test_an_untried_family_is_admitted_where_the_operator_allows_it(root: Path) -> None:
    config = root / "model" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "llama4"}))
    recipe = with_sources()
    as_prm = recipe.model_copy(
        update={"model": SMALL.model, "prm": recipe.prm and recipe.prm.model_copy(update={"base": "model"})}
    )
    for one in (recipe, as_prm):
        with pytest.raises(InvalidInput, match="with MSTAR_COORDINATOR_UNTRIED_MODELS"):
            admitted(one, root)
        with pytest.raises(InvalidInput, match="was never tried with"):
            admit(one, DataPlaces(root), root / "home", 0, Trainers(), allowed=["fuyu"])
        assert admit(one, DataPlaces(root), root / "home", 0, Trainers(), allowed=["llama4"])


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
