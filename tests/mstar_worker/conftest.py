"""A coordinator on a real socket for each test."""

from collections.abc import Iterator

import pytest

from mstar_worker.client import StepClient
from step_board import StepBoard


@pytest.fixture
def board() -> Iterator[StepBoard]:
    with StepBoard() as board:
        yield board


@pytest.fixture
def client(board: StepBoard) -> Iterator[StepClient]:
    client = StepClient(board.url)
    yield client
    client.close()
