"""Writing a small random checkpoint of a model family as the folder that a download from a hub is.

Nothing is saved by a processor of transformers: a hub's older folders were not either.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoConfig, AutoModelForImageTextToText

from mstar.model_types import ANY_IMAGES, Images

CORPUS = (
    "How many bars are there? The first step: 3 + 4 = 7.\n\nSo the sum of the bars is 7, and twice that is 14.\n\n"
    "## Answer\n\n14\n\nWhat is the angle at the top of the triangle? The angles of a triangle are 180 together."
)
WORDS = 300
LENGTH = 512
"""Tokens of the longest text."""
Ids = Callable[[str], int]
Settings = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """One family: what its folder holds, and what the services make of it."""

    name: str
    title: str
    """As people call it."""
    config: Callable[[Ids], Settings]
    """`config.json`, from the ids of special tokens."""
    images: Settings
    """`preprocessor_config.json`; empty where newer folders have all of it in `processor_config.json`."""
    specials: tuple[str, ...]
    image: str
    """What the chat template writes for an image."""
    processor: Settings | None = None
    """`processor_config.json`, where the family's folders have one."""
    named: Settings = field(default_factory=dict)
    """Names that the tokenizer has for special tokens, such as `image_token`."""
    tokenizer: str = "Qwen2Tokenizer"
    begin: str | None = None
    """Token before every text."""
    end: str = "<|im_end|>"
    user: str = "<|im_start|>user\n"
    assistant: str = "<|im_start|>assistant\n"
    template_file: str = "chat_template.json"
    shown: Images = ANY_IMAGES
    """How many images a question may show."""
    own_cache: str = ""
    """Why the policy decodes prompts of one length at a time; empty where rows of any length share a batch."""
    one_by_one: str = ""
    """Why PRM and trainer compute each response by itself; empty where responses are packed into trees."""
    corpus: Sequence[str] = (CORPUS,)
    """What the tokenizer learns its words from."""
    words: int = WORDS

    @property
    def model_type(self) -> str:
        """As `config.json` has it."""
        return str(self.config(lambda token: 0)["model_type"])


def write_folder(family: Family, folder: Path, seed: int = 0, *, to_teach: bool = False) -> Path:
    """Write a random checkpoint of the family, and return its folder; `to_teach`: as at the start of a training."""
    folder.mkdir(parents=True)
    tokenizer, size = _tokenizer_of(family)

    def token_id(token: str) -> int:
        found = tokenizer.token_to_id(token)
        assert found is not None, token
        return int(found)

    # transformers writes defaults of one type into nested settings, which families share.
    settings = deepcopy(family.config(token_id))
    config = AutoConfig.for_model(**_with_vocabulary(settings, size, token_id(family.end)))
    torch.manual_seed(seed)
    model = AutoModelForImageTextToText.from_config(config)
    if not to_teach:
        _spread(model)
    model.generation_config.eos_token_id = token_id(family.end)
    model.save_pretrained(folder)
    _save_tokenizer(tokenizer, family, folder)
    if family.images:
        _write(folder / "preprocessor_config.json", family.images)
    if family.processor is not None:
        _write(folder / "processor_config.json", family.processor)
    _write_template(family, folder)
    if not to_teach:
        # So that the PRM serves it as well; policy and trainer do not look at it.
        _write(folder / "prm_scheme.json", {"scheme": "label-tokens", "good": "+", "bad": "-"})
    return folder


@torch.no_grad()
def _spread(model: Any) -> None:
    """Make weights larger than at the start of a training, so that what the model says depends on all that it sees."""
    for name, weight in model.named_parameters():
        weight.mul_(3 if weight.dim() > 1 else 1)
        if "gate" in name or "projection" in name:
            # Some ways from the image into the text begin closed, at zero.
            weight.add_(0.1 * torch.randn_like(weight) if weight.dim() > 1 else 0.5)


def write_tokenizer(family: Family, folder: Path) -> tuple[int, int]:
    """Write the family's tokenizer; returns how many rows a vocabulary for it has, and the id of its end of turn."""
    tokenizer, size = _tokenizer_of(family)
    _save_tokenizer(tokenizer, family, folder)
    end = tokenizer.token_to_id(family.end)
    assert end is not None, family.end
    return size, end


def _tokenizer_of(family: Family) -> tuple[Tokenizer, int]:
    tokenizer = _tokenizer(family)
    return tokenizer, -(-tokenizer.get_vocab_size() // 8) * 8


def _save_tokenizer(tokenizer: Tokenizer, family: Family, folder: Path) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    _write(folder / "tokenizer_config.json", _tokenizer_settings(family))


def _tokenizer(family: Family) -> Tokenizer:
    """Byte-level pairs learnt from a few lines, or pieces that fall back to bytes as Llama's."""
    specials = list(dict.fromkeys(one for one in ("<unk>", family.begin, family.end, *family.specials) if one))
    if family.tokenizer != "LlamaTokenizer":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=family.words, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(family.corpus, trainer)
    else:
        bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
        pieces = ["<unk>", "<s>", "</s>", *bytes_, "▁", *(chr(code) for code in range(33, 127))]
        vocabulary = {piece: place for place, piece in enumerate(pieces)}
        tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
        tokenizer.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", left=1)]
        )
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in specials])
    return tokenizer


def _tokenizer_settings(family: Family) -> Settings:
    return {
        "tokenizer_class": family.tokenizer,
        "eos_token": family.end,
        "pad_token": family.end,
        "unk_token": "<unk>",
        "model_max_length": LENGTH,
        **({"bos_token": family.begin} if family.begin else {}),
        **family.named,
    }


def _with_vocabulary(settings: Settings, size: int, end: int) -> Settings:
    text = settings.get("text_config", {})
    own = {"vocab_size": size, "bos_token_id": end, "eos_token_id": end, "pad_token_id": 0}
    return settings | {"text_config": text | own}


def _write_template(family: Family, folder: Path) -> None:
    template = (
        "{% for message in messages %}{% if message['role'] == 'user' %}" + _quoted(family.user) + "{% else %}"
        + _quoted(family.assistant) + "{% endif %}"
        "{% if message['content'] is string %}{{ message['content'] }}{% else %}{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}" + _quoted(family.image) + "{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}{% endif %}" + _quoted(f"{family.end}\n") + "{% endfor %}"
        "{% if add_generation_prompt %}" + _quoted(family.assistant) + "{% endif %}"
    )  # fmt: skip
    if family.template_file == "chat_template.json":
        _write(folder / "chat_template.json", {"chat_template": template})
    elif family.template_file == "chat_template.jinja":
        (folder / "chat_template.jinja").write_text(template)
    elif family.template_file == "tokenizer_config.json":
        path = folder / "tokenizer_config.json"
        _write(path, json.loads(path.read_text()) | {"chat_template": template})


def _quoted(text: str) -> str:
    return "{{ " + json.dumps(text) + " }}"


def _write(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2))
