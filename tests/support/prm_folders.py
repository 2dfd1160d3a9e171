"""Small random PRMs of published kinds, saved as the folders that a download from a hub is."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    AutoModel,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForTokenClassification,
)

from family_folders import CORPUS, write_folder
from model_families import FAMILIES, TEXT

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HIDDEN = TEXT["hidden_size"]


def qwen_math_prm(folder: Path) -> Path:
    """Qwen2.5-Math-PRM's shape: a Qwen2 trunk, two linear layers with ReLU between, the token `<extra_0>`."""
    size = _byte_pairs(folder, ("<|im_start|>", "<|im_end|>", "<extra_0>"))
    torch.manual_seed(1)
    trunk = _louder(AutoModel.from_config(Qwen2Config(**TEXT, vocab_size=size)))
    trunk.save_pretrained(folder)
    head = {
        "score.0.weight": torch.randn(HIDDEN, HIDDEN) / 4,
        "score.0.bias": torch.randn(HIDDEN),
        "score.2.weight": torch.randn(2, HIDDEN) / 4,
        "score.2.bias": torch.randn(2),
    }
    _add(folder, head, prefix="model.")
    _change(folder / "config.json", architectures=["Qwen2ForProcessRewardModel"])
    return folder


def trl_prm(folder: Path) -> Path:
    """What TRL's PRM trainer saves: transformers' own token classification, steps ended by a line."""
    size = _byte_pairs(folder, ("<|im_start|>", "<|im_end|>"))
    torch.manual_seed(2)
    _louder(Qwen2ForTokenClassification(Qwen2Config(**TEXT, vocab_size=size, num_labels=2))).save_pretrained(folder)
    declare(folder, scheme="step-token", step_tag="\n", plain="{question}\n")
    return folder


def math_shepherd(folder: Path) -> Path:
    """Math-Shepherd's shape: a Mistral that writes `+` or `-` at the tag `ки`; no chat template, Llama's tokenizer."""
    folder.mkdir(parents=True)
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = [*(chr(code) for code in range(33, 127)), *"ки"]
    pieces = ["<unk>", "<s>", "</s>", *bytes_, "▁", *letters, "▁+", "▁-", "▁к", "▁ки"]
    merges = [("▁", "+"), ("▁", "-"), ("▁", "к"), ("▁к", "и")]
    vocabulary = {piece: place for place, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(one, special=True, normalized=False) for one in ("<unk>", "<s>", "</s>")])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>", "bos_token": "<s>"}
    _write(folder / "tokenizer_config.json", **settings)
    torch.manual_seed(3)
    config = MistralConfig(**TEXT, vocab_size=len(pieces) + 4, sliding_window=None)
    _louder(MistralForCausalLM(config)).save_pretrained(folder)
    declare(folder, scheme="label-tokens", good="+", bad="-", step_tag=" ки", plain="{question} ")
    return folder


def ursa_rm(folder: Path) -> Path:
    """URSA-RM's shape: a vision-language trunk and one number for every token, read at the tag ` и`."""
    _vision_folder("llava", folder, seed=4)
    torch.manual_seed(4)
    (folder / "prm_scheme.json").unlink()
    _add(folder, {"score.weight": torch.randn(1, HIDDEN) / 16, "score.bias": torch.zeros(1)})
    _change(folder / "config.json", architectures=["UrsaForTokenClassification"])
    return folder


def visual_prm(folder: Path) -> Path:
    """VisualPRM's shape: an InternVL that answers each turn with `+` or `-`."""
    _vision_folder("internvl", folder, seed=5)
    declare(folder, scheme="turns")
    return folder


def declare(folder: Path, **scheme: Any) -> None:
    """Write the declaration of a scheme."""
    _write(folder / "prm_scheme.json", **scheme)


def _vision_folder(name: str, folder: Path, seed: int) -> None:
    family = next(family for family in FAMILIES if family.name == name)
    config = family.config
    longer = replace(family, config=lambda ids: _with_context(config(ids)))
    write_folder(longer, folder, seed)


def _with_context(settings: dict[str, Any]) -> dict[str, Any]:
    # Letters are tokens of their own here, and VisualPRM's system prompt has a thousand.
    return settings | {"text_config": settings["text_config"] | {"max_position_embeddings": 4096}}


def _byte_pairs(folder: Path, specials: tuple[str, ...]) -> int:
    """Save a byte-level tokenizer with a chat template; returns the size of its vocabulary."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([CORPUS], trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        tokenizer_class="PreTrainedTokenizerFast",
        eos_token="<|im_end|>",
        chat_template=CHATML,
    )
    return int(tokenizer.get_vocab_size())


def _louder(model: Any) -> Any:
    """Weights as large as after a training, so that scores depend on all that is seen."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4 if weight.dim() > 1 else 1)
    return model


def _add(folder: Path, head: dict[str, torch.Tensor], prefix: str = "") -> None:
    path = folder / "model.safetensors"
    trunk = {f"{prefix}{name}": tensor for name, tensor in load_file(path).items()}
    save_file(trunk | head, path, metadata={"format": "pt"})


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _write(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(values))
