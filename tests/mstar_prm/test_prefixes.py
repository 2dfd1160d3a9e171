"""What is remembered of prompts: by content, within its bytes, the oldest going first."""

from dataclasses import replace
from types import SimpleNamespace

import torch

from mstar_models.encoding import EncodedPrompt
from mstar_prm.prefixes import Prefixes, digest, joined

PROMPT = EncodedPrompt([1, 2, 3], {"pixel_values": torch.zeros(1, 3, 4, 4)})
BYTES = 2 * 2 * 3 * 4 * 4
"""Keys and values, two heads, three tokens, four float32 each."""


def forward(width: int = 5, layers: int = 1) -> SimpleNamespace:
    """The cache of a pass over two rows."""
    parts = [torch.randn(2, 2, width, 4) for _ in range(2 * layers)]
    return SimpleNamespace(layers=[SimpleNamespace(keys=parts[2 * i], values=parts[2 * i + 1]) for i in range(layers)])


def test_a_prompt_is_known_by_tokens_and_pixels() -> None:
    other_pixels = replace(PROMPT, pixels={"pixel_values": torch.ones(1, 3, 4, 4)})
    other_shape = replace(PROMPT, pixels={"pixel_values": torch.zeros(1, 3, 2, 8)})
    same = EncodedPrompt([1, 2, 3], {"pixel_values": torch.zeros(1, 3, 4, 4)})
    assert digest(PROMPT) == digest(same)
    assert len({digest(one) for one in (PROMPT, other_pixels, other_shape, replace(PROMPT, input_ids=[1, 2]))}) == 4


def test_the_oldest_goes_when_the_bytes_are_used_up() -> None:
    prefixes = Prefixes(2 * BYTES)
    for key in (b"a", b"b"):
        prefixes.keep(key, forward(), 0, 3, 5)
    assert prefixes.find(b"a") is not None, "and now it is the newest"
    prefixes.keep(b"c", forward(), 1, 3, 5)
    assert [key for key in (b"a", b"b", b"c") if prefixes.find(key) is not None] == [b"a", b"c"]


def test_what_does_not_fit_or_was_forgotten_by_the_model_is_not_kept() -> None:
    small, windowed = Prefixes(BYTES - 1), Prefixes(1 << 20)
    small.keep(b"a", forward(), 0, 3, 5)
    windowed.keep(b"a", forward(width=4), 0, 3, 5)
    assert small.find(b"a") is windowed.find(b"a") is None


def test_rows_are_kept_and_joined_as_they_were() -> None:
    prefixes, cache = Prefixes(1 << 20), forward(layers=2)
    for row, key in enumerate((b"a", b"b")):
        prefixes.keep(key, cache, row, 3, 5)
    found = [prefixes.find(key) for key in (b"b", b"a")]
    past = joined([one for one in found if one is not None])
    assert past.get_seq_length() == 3
    assert torch.equal(past.layers[1].values, cache.layers[1].values[[1, 0], :, :3])
