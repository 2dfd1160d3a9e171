"""A checkpoint is refused before it fills the disk."""

from pathlib import Path

import pytest
import torch

from mstar.errors import InvalidInput, StorageFull
from mstar_trainer.checkpoints import require_finite, require_space


def test_a_disk_without_room_is_named_first(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(StorageFull, match="a checkpoint needs 1000000000000 MB"):
        require_space(tmp_path, 10**18)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_not_written(value: float) -> None:
    weights = {"embed.weight": torch.zeros(3, 2), "head.weight": torch.zeros(4)}
    require_finite(weights, "r-1/train")
    weights["head.weight"][2] = value
    with pytest.raises(InvalidInput, match=r"head\.weight of r-1/train is not finite"):
        require_finite(weights, "r-1/train")
