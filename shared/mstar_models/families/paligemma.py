"""PaliGemma: tokens of the prompt see each other in both directions, those of the response are causal.

It was trained on an image, a task in words, and the answer, never on conversations, so its folders have no chat
template. The one here writes the images and then the text; the processor adds the rest (`<bos>` and a line break).
"""

from typing import Any

import torch

from mstar_models.families.declaration import Family

_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% endif %}{% endfor %}{% endfor %}"
    "{% for message in messages %}{% if not loop.first %}{{ '\\n' }}{% endif %}{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def _suffix(config: Any, prompt: list[int], length: int) -> dict[str, torch.Tensor]:
    """`token_type_ids` [1, T]: 0 in the prompt, 1 after it (PaliGemma, arXiv 2407.07726, section 3.2)."""
    return {"token_type_ids": (torch.arange(length) >= len(prompt)).long()[None]}


FAMILY = Family(
    name="PaliGemma",
    model_types=("paligemma",),
    processors=("PaliGemmaProcessor",),
    token_inputs=_suffix,
    sees_ahead="prompt",
    template=_TEMPLATE,
)
