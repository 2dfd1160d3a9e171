"""Files of older folders that no processor can be made of name what takes their place."""

import json
import shutil
from pathlib import Path

import pytest

from minivista.builtin import BUILTINS
from mstar.errors import InvalidInput
from mstar_models.loading import load_processor


def test_an_image_processor_that_was_renamed_says_its_name(tmp_path: Path) -> None:
    source, folder = BUILTINS["builtin:minivista"].model, tmp_path / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    settings = folder / "processor_config.json"
    whole = json.loads(settings.read_text())
    whole["image_processor"]["image_processor_type"] = "Qwen2_5_VLImageProcessorFast"
    settings.write_text(json.dumps(whole))
    with pytest.raises(InvalidInput, match=r"in processor_config\.json, .* write 'Qwen2VLImageProcessorFast'"):
        load_processor(folder)


def test_a_tokenizer_that_cannot_be_made_of_older_files_names_the_newer_one(tmp_path: Path) -> None:
    source, folder = BUILTINS["builtin:minivista"].model, tmp_path / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors", "tokenizer.json"))
    (folder / "tokenizer.model").write_bytes(b"no model")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "LlamaTokenizer"}))
    with pytest.raises(InvalidInput, match=r"has no tokenizer\.json, and none can be made"):
        load_processor(folder)
