"""Folders of models: safetensors only, nothing but this machine, clear words for what is missing."""

import errno
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from minivista.architecture import make_model
from mstar.errors import CorruptArtefact, InvalidInput, Unavailable
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import load_checkpoint
from mstar_models.labels import label_token_ids
from mstar_models.loading import dtype_for, load_model, load_processor, translated


class Vocabulary:
    """All that labels need of a tokenizer."""

    def __init__(self, tokens: dict[str, int]) -> None:
        self._tokens = tokens

    def get_vocab(self) -> dict[str, int]:
        return self._tokens


@pytest.fixture
def folder(processor: Any, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    made = tmp_path / "model"
    make_model(processor.tokenizer).save_pretrained(made)
    processor.save_pretrained(made)
    return made


def test_model_and_processor_come_from_the_folder(folder: Path) -> None:
    model = load_model(folder)
    assert not model.training
    saved = load_file(folder / "model.safetensors")
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in saved.items())
    assert label_token_ids(load_processor(folder).tokenizer)[0] != label_token_ids(load_processor(folder).tokenizer)[1]


@pytest.mark.parametrize(
    ("config", "there"),
    [
        ({"dtype": "bfloat16"}, torch.bfloat16),
        ({"torch_dtype": "float16"}, torch.float16),
        ({"dtype": "float32", "text_config": {"dtype": "bfloat16"}}, torch.float32),
        ({"text_config": {"dtype": "bfloat16"}}, torch.bfloat16),
        ({"dtype": "auto"}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_weights_keep_their_type_where_memory_is_dear(config: Any, there: torch.dtype, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert dtype_for(torch.device("cuda", 1), tmp_path) == there
    assert dtype_for(torch.device("cpu"), tmp_path) == torch.float32


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_a_kernel_of_the_machine_that_saved_the_model_is_not_asked_for(folder: Path, name: str) -> None:
    path = folder / "config.json"
    settings = json.loads(path.read_text())
    settings["text_config"][name] = settings[name] = "flash_attention_2"
    path.write_text(json.dumps(settings))
    assert load_model(folder).config._attn_implementation == "sdpa"


def test_weights_are_loaded_as_told(folder: Path) -> None:
    assert load_model(folder, torch.bfloat16).dtype == torch.bfloat16
    load_model(folder, torch.bfloat16).save_pretrained(folder)
    assert dtype_for(torch.device("cuda"), folder) == torch.bfloat16, "a checkpoint says what it was saved as"
    if not torch.cuda.is_available():
        assert load_model(folder).dtype == torch.float32


def test_pickled_weights_are_refused(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InvalidInput, match="no safetensors"):
        load_model(folder)


def test_code_in_the_folder_is_not_run(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForImageTextToText": "own.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('this ran')")
    with pytest.raises(InvalidInput, match=r"trust_remote_code|custom code"):
        load_model(folder)
    assert "own" not in sys.modules


def test_weights_that_are_not_there_are_not_made_up(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    lost = min(name for name in tensors if "text_model.layers.0" in name)
    del tensors[lost]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InvalidInput, match=f"lacks weight {lost}"):
        load_model(folder)


def test_weights_of_another_shape_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] += 8
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        InvalidInput, match=r"has weight \S+ of shape \[128, 320\], where config.json asks for \[128, 328\]"
    ):
        load_model(folder)


def test_a_damaged_file_is_refused(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match="cannot be loaded"):
        load_model(folder)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    for load in (load_model, load_processor):
        with pytest.raises(InvalidInput, match=r"holds no config\.json"):
            load(tmp_path)


def test_a_processor_that_is_not_there_is_an_input_error(folder: Path) -> None:
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(InvalidInput, match=r"model folder model holds no tokenizer: add tokenizer\.json") as refused:
        load_processor(folder)
    assert len(refused.value.detail.splitlines()) == 1


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (None, "model folder model has no chat template: add chat_template.jinja"),
        ("{% for m in messages %}{{ m['content'][-1]['text'] }}{% endfor %}", "leaves the image out of the prompt"),
        ("{% for m in messages %}", "cannot be loaded: Unexpected end of template"),
    ],
)
def test_a_template_that_makes_no_prompt_is_refused_at_load(folder: Path, template: str | None, said: str) -> None:
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(InvalidInput, match=re.escape(said)):
        load_processor(folder)


def test_a_template_in_the_tokenizers_settings_is_found(folder: Path) -> None:
    before = load_processor(folder).chat_template
    (folder / "chat_template.jinja").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"chat_template": before}))
    assert load_processor(folder).chat_template == before


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        ("processor_config.json", {"processor_class": "OwnProcessor"}, "names the processor 'OwnProcessor', which"),
        ("processor_config.json", {"processor_class": "WhisperProcessor"}, "also takes a feature_extractor"),
        ("tokenizer_config.json", {"tokenizer_class": 7}, "cannot be loaded: "),
        ("config.json", {"text_config": 7}, "cannot be loaded: "),
        ("config.json", {"model_type": "no-such-family"}, "no-such-family"),
        ("config.json", {"vision_config": {"hidden_size": "many"}}, "cannot be loaded: "),
    ],
)
def test_whatever_is_wrong_in_a_file_is_one_sentence(folder: Path, file: str, change: Any, said: str) -> None:
    (folder / file).write_text(json.dumps(json.loads((folder / file).read_text()) | change))
    with pytest.raises(InvalidInput, match=re.escape(said)) as refused:
        load_processor(folder)
        load_model(folder)
    assert len(refused.value.detail.splitlines()) == 1
    assert refused.value.field == "model"


@pytest.mark.parametrize(
    ("vocabulary", "labels"),
    [
        ({"<good>": 7, "<bad>": 8, "+": 1, "-": 2}, (7, 8)),
        ({"+": 1, "-": 2, "<good>": 7}, (1, 2)),
    ],
)
def test_labels_of_our_own_come_before_signs(vocabulary: dict[str, int], labels: tuple[int, int]) -> None:
    assert label_token_ids(Vocabulary(vocabulary)) == labels


def test_a_tokenizer_without_labels_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no labels for a PRM: add <good> and <bad>"):
        label_token_ids(Vocabulary({"a": 0, "+": 1}))


def test_a_checkpoint_is_verified_and_must_be_finite(folder: Path, tmp_path: Path) -> None:
    store = ArtefactStore(tmp_path / "home")

    def fill(target: Path, *, broken: bool) -> None:
        shutil.copytree(folder, target / "model")
        if broken:
            tensors = load_file(target / "model" / "model.safetensors")
            next(iter(tensors.values())).view(-1)[0] = float("nan")
            save_file(tensors, target / "model" / "model.safetensors", metadata={"format": "pt"})

    good = store.write("r-1/good", lambda target: fill(target, broken=False), {})
    bad = store.write("r-1/bad", lambda target: fill(target, broken=True), {})
    assert load_checkpoint(store, good)[1] == store.path(good.id) / "model"
    with pytest.raises(InvalidInput, match="not finite"):
        load_checkpoint(store, bad)
    weights = store.path(good.id) / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    with pytest.raises(CorruptArtefact):
        load_checkpoint(store, good)


@pytest.mark.parametrize("name", ["training_args.bin", "modeling_own.py", "adapter_config.json", "key.pem"])
def test_a_checkpoint_with_a_file_of_another_kind_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    store = ArtefactStore(tmp_path / "home")

    def fill(target: Path) -> None:
        shutil.copytree(folder, target / "model")
        (target / "model" / name).write_text("{}")

    with pytest.raises(InvalidInput, match=f"holds {name}, which is not a model file"):
        load_checkpoint(store, store.write("r-1/odd", fill, {}))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ValueError("Validation error for field 'eps':\n    TypeError: Field 'eps' expected float\n  more"),
            "expected float",
        ),
        (KeyError("nope"), "KeyError 'nope'"),
        (ValueError("size mismatch for a.weight\n\tsize mismatch for b.weight"), "size mismatch for a.weight"),
        (AssertionError(), "AssertionError"),
    ],
)
def test_what_a_library_says_of_a_folder_is_told_with_its_reason(tmp_path: Path, error: Exception, said: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be loaded: ") as refused, translated(tmp_path):
        raise error
    assert refused.value.detail.endswith(said)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError("Cannot allocate memory (os error 12)"), "the memory of this machine or container is used up"),
        (OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "too many files and connections are open"),
        (RuntimeError("unable to open file <m>: Too many open files (24)"), "too many files and connections are open"),
        (RuntimeError("can't start new thread"), "no further process or thread can be started"),
    ],
)
def test_what_the_machine_lacks_is_not_the_folders_fault(tmp_path: Path, error: Exception, said: str) -> None:
    """A run is tried again then; a folder that is wrong ends it."""
    with pytest.raises(Unavailable, match=said), translated(tmp_path):
        try:
            raise error
        except Exception as cause:
            raise OSError("unable to load the weights") from cause
