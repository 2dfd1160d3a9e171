"""The packed tree: a token sees what it would see in a sequence of its own, and shared beginnings are there once."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from architectures import llava, plain_inputs
from mstar_models.attention import dense_mask
from mstar_models.packing import Packed, start, tensors
from mstar_models.trunk import run_trunk

PIECES = st.lists(st.tuples(st.integers(10, 12), st.integers(10, 12)), min_size=1, max_size=4)
RESPONSES = st.lists(PIECES, min_size=1, max_size=6)
PROMPT = [1, 2, 3]


def packed_of(responses: list[list[tuple[int, int]]]) -> Packed:
    packed = start(PROMPT)
    for response in responses:
        packed.add(response)
    return packed


@given(RESPONSES)
def test_each_end_sees_exactly_its_own_sequence(responses: list[list[tuple[int, int]]]) -> None:
    packed = packed_of(responses)
    inputs = tensors([packed], pad_id=0)
    mask = dense_mask(inputs["spans"], len(packed.ids))
    for response, ends in zip(responses, packed.ends, strict=True):
        for count, end in enumerate(ends, 1):
            seen = mask[0, 0, end].nonzero()[:, 0]
            alone = [*PROMPT, *(token for piece in response[:count] for token in piece)]
            assert inputs["input_ids"][0, seen].tolist() == alone
            assert inputs["position_ids"][0, seen].tolist() == list(range(len(alone)))


@given(RESPONSES)
def test_distinct_beginnings_are_there_once(responses: list[list[tuple[int, int]]]) -> None:
    beginnings = {tuple(response[:count]) for response in responses for count in range(1, len(response) + 1)}
    packed = packed_of(responses)
    assert len(packed.ids) == len(PROMPT) + 2 * len(beginnings)
    assert all(packed.cost(response) == 0 for response in responses)
    assert packed.cost([*responses[0], (99, 99)]) == 2


def test_shorter_rows_are_padded_and_padding_sees_only_itself() -> None:
    inputs = tensors([packed_of([[(10, 10)]]), packed_of([[(10, 10), (11, 11)]])], pad_id=7)
    assert inputs["input_ids"][0].tolist() == [1, 2, 3, 10, 10, 7, 7]
    mask = dense_mask(inputs["spans"], 7)
    assert mask[0, 0, 5].tolist() == [False] * 5 + [True, False]
    assert not mask[0, 0, :5, 5:].any()


def test_text_behind_a_picture_goes_on_on_all_axes() -> None:
    axes = torch.tensor([[0, 1, 1, 3], [0, 1, 2, 3], [0, 1, 1, 3]])
    packed = start([1, 2, 2, 3], axes)
    packed.add([(10, 10)])
    positions = tensors([packed], pad_id=0)["position_ids"]
    assert positions.shape == (3, 1, 6)
    assert positions[:, 0, :4].equal(axes)
    assert positions[:, 0, 4:].tolist() == [[4, 5]] * 3


@pytest.mark.parametrize("window", [32, 16])
def test_a_window_counts_the_positions_of_each_response(window: int) -> None:
    torch.manual_seed(3)
    model, prompts = llava(model_type="mistral", sliding_window=window, max_position_embeddings=32)
    prompt = prompts.encode("How many?", [Image.new("RGB", (64, 64))])
    packed = start(prompt.input_ids)
    responses = [[tuple(range(10 * n, 10 * n + 5)), tuple(range(40, 47))] for n in range(4)]
    for response in responses:
        packed.add(response)
    assert len(packed.ids) > 2 * window
    with torch.inference_mode():
        found = run_trunk(model.eval(), **tensors([packed], pad_id=0), **prompt.pixels).last_hidden_state[0]
        alone = [
            model.model(**plain_inputs(prompt, [*first, *last])).last_hidden_state[0, -1] for first, last in responses
        ]
    same = [torch.allclose(found[ends[-1]], one, atol=1e-5) for ends, one in zip(packed.ends, alone, strict=True)]
    assert same == [True] * 4
