"""A training begins when others have given the GPU's memory back, and says how much they hold when they do not."""

import io
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from mstar.errors import InvalidInput, Unavailable, from_problem
from mstar_artefacts.storage import Storage
from mstar_trainer.memory import LOOKS, Memory, await_room
from mstar_trainer.protocol import REPLY, Failed, TrainRequest
from mstar_trainer.rank_main import _answer, require_gpu
from mstar_trainer.training_loop import TrainingLoop
from trainer_bench import Bench

GIB = 2**30


def device(free: Iterator[int], total: int = 80, own: int = 0) -> Callable[[], Memory]:
    """A GPU of this many GiB, of which these are free at one look after the other."""
    return lambda: Memory(next(free) * GIB, total * GIB, own * GIB)


@pytest.mark.parametrize(
    ("free", "total", "own", "of_others"),
    [(79, 80, 0, 1), (80, 80, 0, 0), (20, 80, 55, 5), (10, 24, 14, 0), (10, 24, 15, 0), (0, 24, 0, 24)],
)
def test_what_this_process_holds_is_not_of_others(free: int, total: int, own: int, of_others: int) -> None:
    assert Memory(free, total, own).of_others == of_others


@pytest.mark.parametrize(("free", "pauses"), [([60], 0), ([54, 59, 60], 2), ([54] * (LOOKS - 1) + [60], LOOKS - 1)])
def test_it_waits_until_others_hold_little(free: list[int], pauses: int) -> None:
    paused: list[None] = []
    await_room(device(iter(free)), 0.25, lambda: paused.append(None))
    assert len(paused) == pauses


def test_what_is_never_given_back_is_told_in_bytes() -> None:
    with pytest.raises(Unavailable, match="27,917,287,424 of 85,899,345,920 bytes of the GPU, more than 25%"):
        await_room(device(iter([54] * LOOKS)), 0.25, lambda: None)


def test_a_training_without_room_fails_before_it_begins(bench: Bench) -> None:
    bench.put_rows("data", bench.selected(3))
    storage = Storage(home=bench.home)
    request = TrainRequest(claim=bench.claim("it01/train", "data"), storage=storage, busy_share=0.1)
    said: list[float] = []

    def full(share: float) -> None:
        said.append(share)
        await_room(device(iter([0] * LOOKS), total=24), share, lambda: None)

    out = io.StringIO()
    _answer(TrainingLoop(storage), request, queue.SimpleQueue(), out, full)
    (reply,) = map(REPLY.validate_json, out.getvalue().splitlines())
    assert isinstance(reply, Failed)
    assert reply.problem["code"] == "unavailable" and "25,769,803,776 bytes" in reply.problem["detail"]
    assert said == [0.1]


class _Greedy(TrainingLoop):
    """A training that asks for more than there is, in the words of PyTorch."""

    def train(self, *args: Any) -> Any:
        raise torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 48.00 MiB. GPU 0 has a total capacity of 139.80 GiB of which 13.12 "
            "MiB is free. If reserved but unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF=…"
        )


def test_a_training_that_does_not_fit_is_refused_with_what_to_change(bench: Bench) -> None:
    bench.put_rows("data", bench.selected(3))
    storage = Storage(home=bench.home)
    request = TrainRequest(claim=bench.claim("it01/train", "data"), storage=storage)
    out = io.StringIO()
    _answer(_Greedy(storage), request, queue.SimpleQueue(), out, lambda share: None)
    (reply,) = map(REPLY.validate_json, out.getvalue().splitlines())
    assert isinstance(reply, Failed)
    problem = from_problem(reply.problem, int(reply.problem["status"]))
    assert isinstance(problem, InvalidInput) and problem.field == "train.micro_tokens"
    assert "set train.gradient_checkpointing, train.lora" in problem.detail
    assert "139.80 GiB" in problem.detail and "PYTORCH_CUDA_ALLOC_CONF" not in problem.detail


@pytest.mark.parametrize(("local_rank", "gpus"), [(0, 0), (3, 0), (0, 1), (7, 8)])
def test_a_rank_has_a_gpu_of_its_own_or_none_has_one(local_rank: int, gpus: int) -> None:
    require_gpu(local_rank, gpus)


def test_more_ranks_than_gpus_name_the_setting() -> None:
    with pytest.raises(InvalidInput, match=r"more GPUs than the 1 of this node: lower train\.ranks") as refused:
        require_gpu(1, 1)
    assert refused.value.field == "train.ranks"
