"""What of a model's folder is taken: a list of what is allowed."""

import pytest

from mstar.model_files import is_model_file, source_name


@pytest.mark.parametrize(
    "name",
    [
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "tokenizer.json",
        "tokenizer.model",
        "merges.txt",
        "chat_template.jinja",
        "README.md",
        "LICENSE",
    ],
)
def test_files_of_a_model_are_taken(name: str) -> None:
    assert is_model_file(name)


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "model.pt",
        "modeling_own.py",
        ".env",
        ".config.json",
        "id_rsa",
        "key.pem",
        "adapter_config.json",
        "adapter_model.safetensors",
        "model.gguf",
        "weights.safetensors.bak",
        "training_args.pkl",
        "",
    ],
)
def test_others_are_left(name: str) -> None:
    assert not is_model_file(name)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("builtin:minivista", "builtin:minivista"),
        ("/data/models/Qwen2.5-VL-3B/", "Qwen2.5-VL-3B"),
        ("relative/InternVL", "InternVL"),
        ("/home/a/.cache/hub/models--Qwen--Qwen2.5-VL-3B/snapshots/0123abc", "Qwen/Qwen2.5-VL-3B"),
        ("/cache/datasets--AI4Math--MathVista/snapshots/0123abc/data", "AI4Math/MathVista"),
        ("models--gpt2/snapshots/1", "gpt2"),
    ],
)
def test_a_card_has_the_own_name_of_a_source(source: str, name: str) -> None:
    assert source_name(source) == name
