"""Folders of models: safetensors only, nothing but this machine, clear words for what is missing."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from minivista.architecture import make_model
from mstar.errors import CorruptArtefact, InvalidInput
from mstar_artefacts.store import ArtefactStore
from mstar_models.checkpoint import load_checkpoint
from mstar_models.labels import label_token_ids
from mstar_models.loading import load_model, load_processor


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
    with pytest.raises(ValueError, match=r"trust_remote_code|custom code"):
        load_model(folder)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    for load in (load_model, load_processor):
        with pytest.raises(InvalidInput, match=r"holds no config\.json"):
            load(tmp_path)


def test_a_tokenizer_without_labels_is_refused() -> None:
    class Bare:
        def get_vocab(self) -> dict[str, int]:
            return {"a": 0, "+": 1}

    with pytest.raises(InvalidInput, match="neither"):
        label_token_ids(Bare())


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
