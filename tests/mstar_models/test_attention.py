"""Block masks show what dense ones show: by entries, by blocks, and in what a model computes.

FlexAttention's own kernels need a GPU (`benchmarks/gpu.py`); here the same mask goes through its reference on the CPU.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.nn.attention.flex_attention import BlockMask

from architectures import ARCHITECTURES, llava
from minivista import MODEL_FOLDER
from mstar_models.attention import (
    BLOCK,
    BLOCKS_FROM,
    Window,
    block_mask,
    dense_mask,
    read_blocks,
    tree_mask,
    use_tree_attention,
)
from mstar_models.loading import load_model
from mstar_models.packing import Packed, start, tensors
from mstar_models.trunk import run_trunk


@pytest.fixture(autouse=True)
def compiled_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch compiles a probe of the processor before its reference runs."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))


PIECES = st.lists(st.integers(1, 3), min_size=1, max_size=4)
"""Which of three long pieces a response takes at each step."""
TREES = st.lists(st.lists(PIECES, min_size=1, max_size=5), min_size=1, max_size=3)


def packed_of(responses: list[list[int]]) -> Packed:
    packed = start(range(70))
    for response in responses:
        packed.add([(piece,) * 60 * piece for piece in response])
    return packed


@settings(deadline=None, max_examples=30)
@given(TREES, st.integers(0, 69), st.sampled_from([None, 30, 150]))
def test_blocks_show_what_the_dense_mask_shows(trees: list[list[list[int]]], known: int, reach: int | None) -> None:
    inputs = tensors([packed_of(one) for one in trees], pad_id=0)
    spans, keys = inputs["spans"], inputs["spans"].shape[2]
    queries = keys - known
    window = None if reach is None else Window(reach, inputs["position_ids"])
    dense, blocks = dense_mask(spans, queries, window), block_mask(spans, queries, window)
    rows = torch.arange(len(trees))[:, None, None]
    query, key = torch.arange(queries)[:, None], torch.arange(keys)
    assert blocks.mask_mod(rows, torch.zeros(()), query, key).equal(dense[:, 0])
    # [B, 1, Q / BLOCK, T / BLOCK], 1 where a block is computed.
    computed = blocks.to_dense().bool()[:, 0]
    padded = torch.nn.functional.pad(dense[:, 0], (0, -keys % BLOCK, 0, -queries % BLOCK))
    tiles = padded.unflatten(1, (-1, BLOCK)).unflatten(3, (-1, BLOCK))
    assert computed.equal(tiles.any(4).any(2))
    full = blocks.full_kv_num_blocks
    assert full is not None and full[:, 0].equal(tiles.all(4).all(2).sum(-1))


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
@pytest.mark.parametrize("made", ARCHITECTURES)
def test_a_model_computes_the_same_from_blocks(made: Callable[[], tuple[Any, Any]]) -> None:
    torch.manual_seed(5)
    model, prompts = made()
    prompt = prompts.encode("How many?", [Image.new("RGB", (64, 64), (200, 30, 90))])
    packed = start(prompt.input_ids)
    for last in range(4):
        packed.add([tuple(range(10, 40)), tuple(range(60 - last, 80))])
    inputs = tensors([packed], pad_id=0)
    with torch.inference_mode():
        dense = run_trunk(model.eval(), **inputs, **prompt.pixels).last_hidden_state
        read_blocks(model, fewest=0)
        blocks = run_trunk(model, **inputs, **prompt.pixels).last_hidden_state
    assert torch.allclose(blocks, dense, atol=2e-6)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile:UserWarning")
def test_a_model_with_windows_computes_the_same_from_blocks() -> None:
    torch.manual_seed(5)
    model, prompts = llava(model_type="mistral", sliding_window=24, max_position_embeddings=64)
    prompt = prompts.encode("How many?", [Image.new("RGB", (64, 64))])
    packed = start(prompt.input_ids)
    for last in range(4):
        packed.add([tuple(range(10, 20)), tuple(range(60 - last, 70))])
    inputs = tensors([packed], pad_id=0) | prompt.pixels
    with torch.inference_mode():
        dense = run_trunk(model.eval(), **inputs).last_hidden_state
        read_blocks(model, fewest=0)
        blocks = run_trunk(model, **inputs).last_hidden_state
    assert torch.allclose(blocks, dense, atol=2e-6)


def test_wide_trees_alone_are_read_as_blocks() -> None:
    model = load_model(MODEL_FOLDER)
    wide, narrow = (torch.zeros(1, 2, width, dtype=torch.int32) for width in (BLOCKS_FROM, BLOCKS_FROM - 1))
    assert isinstance(tree_mask(model, wide, 1), torch.Tensor)
    read_blocks(model)
    assert isinstance(tree_mask(model, narrow, 1), torch.Tensor)
    assert isinstance(tree_mask(model, wide, 1), BlockMask)


def test_a_cpu_keeps_the_dense_mask() -> None:
    model = load_model(MODEL_FOLDER)
    use_tree_attention(model)
    spans = torch.zeros(1, 2, BLOCKS_FROM, dtype=torch.int32)
    assert isinstance(tree_mask(model, spans, 1), torch.Tensor)


def test_a_model_with_attention_of_its_own_keeps_the_dense_mask() -> None:
    model = load_model(MODEL_FOLDER)

    cannot = {"_can_set_attn_implementation": classmethod(lambda _: False)}
    for module in model.modules():
        if hasattr(module, "set_attn_implementation"):
            module.__class__ = type(type(module).__name__, (type(module),), cannot)
    read_blocks(model, fewest=0)
    assert isinstance(tree_mask(model, torch.zeros(1, 2, 300, dtype=torch.int32), 300), torch.Tensor)
