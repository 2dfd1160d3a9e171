"""What families whose code lies in their folder have in common: our way of calling them, on top of theirs.

transformers' own families take one set of arguments; these take what their authors wrote. A subclass of the folder's
model class, made here, takes ours and keeps names of weights and files as they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from transformers import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from mstar_models.chat import fixed_day

Trunk = Callable[..., BaseModelOutputWithPast]


@dataclass(frozen=True)
class RemoteCode:
    """How a family with code in its folder is called."""

    trunk: Trunk
    """The model, then our arguments by name; returns hidden states [B, T, D] and the cache."""
    tower: Callable[[Any], Any]
    """The vision tower of a model."""
    decoder: Callable[[Any], Any]
    """Its language model without the head."""
    image_mark: Callable[[int], str]
    """What stands for an image in a message, by its number from 1."""
    pixels: Callable[[Mapping[str, Any]], dict[str, torch.Tensor]]
    """From what its processor returns for one prompt to tensors that concatenate over prompts."""


def adapted(kind: Any, code: RemoteCode) -> Any:
    """A subclass of the folder's model class that is called as transformers' own families are."""

    class Adapted(kind):  # type: ignore[misc]
        def trunk(self, *, past_key_values: Any = None, use_cache: bool = False, **inputs: Any) -> Any:
            past = DynamicCache() if use_cache and past_key_values is None else past_key_values
            return code.trunk(self, past_key_values=past, use_cache=use_cache, **inputs)

        def forward(self, *, logits_to_keep: int = 0, **inputs: Any) -> Any:
            found = self.trunk(**inputs)
            # `-0:` takes all places: with `logits_to_keep` 0 every one gets its logits [B, T, V].
            logits = self.get_output_embeddings()(found.last_hidden_state[:, -logits_to_keep:])
            return CausalLMOutputWithPast(logits=logits, past_key_values=found.past_key_values)

        def get_encoder(self, modality: str | None = None) -> Any:
            return code.tower(self) if modality == "image" else super().get_encoder(modality)

        def get_decoder(self) -> Any:
            return code.decoder(self)

    # The name is written to config.json.
    Adapted.__name__, Adapted.__qualname__, Adapted.__module__ = kind.__name__, kind.__qualname__, kind.__module__
    return Adapted


class RemoteProcessor:
    """A folder's processor, called as transformers' own are."""

    def __init__(self, inner: Any, tokenizer: Any, image_processor: Any, template: str | None, family: Any) -> None:
        """`inner`: the folder's own; `template`: its chat template; `family`: the `Family` with its `remote` code."""
        self.tokenizer, self.image_processor, self.chat_template = tokenizer, image_processor, template
        self.family = family
        self._inner = inner
        self._code: RemoteCode = family.remote

    def apply_chat_template(self, messages: list[dict[str, Any]], add_generation_prompt: bool = False) -> str:
        """The prompt's text. Marks of images are numbered through all messages."""
        count, plain = 0, []
        for message in messages:
            said = ""
            for part in message["content"]:
                count += part["type"] == "image"
                said += self._code.image_mark(count) if part["type"] == "image" else part["text"]
            plain.append({"role": message["role"], "content": said})
        found: str = self.tokenizer.apply_chat_template(
            plain,
            chat_template=self.chat_template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            **fixed_day(self.chat_template),
        )
        return found

    def __call__(self, text: str, images: Any = None, return_tensors: str = "pt", **kwargs: Any) -> dict[str, Any]:
        """`input_ids` [1, T], and tensors of the images."""
        if not images:
            asked = kwargs.get("add_special_tokens", True)
            return {"input_ids": self.tokenizer(text, add_special_tokens=asked, return_tensors="pt")["input_ids"]}
        values = self._inner(text, images, return_tensors="pt")
        ids = torch.as_tensor(values["input_ids"]).reshape(1, -1)
        return {"input_ids": ids, **self._code.pixels(values)}
