"""A checkpoint is refused before it fills the disk."""

import shutil
from pathlib import Path

import pytest
import torch

from mstar.errors import InvalidInput, StorageFull
from mstar.model_folder import check_weights
from mstar_models.loading import load_model
from mstar_trainer.checkpoints import require_space
from mstar_trainer.weight_files import require_finite, write_weights
from trainer_bench import MODEL


def test_a_disk_without_room_is_named_first(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(StorageFull, match="a checkpoint needs 1000000000000 MB"):
        require_space(tmp_path, 10**18)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_is_not_written(value: float) -> None:
    require_finite("embed.weight", torch.zeros(3, 2), "r-1/train")
    bad = torch.zeros(4)
    bad[2] = value
    with pytest.raises(InvalidInput, match=r"head\.weight of r-1/train is not finite"):
        require_finite("head.weight", bad, "r-1/train")


def test_weights_in_several_files_load_as_those_in_one(tmp_path: Path) -> None:
    model = load_model(MODEL)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder, size in ((whole, 10**9), (parts, 10**6)):
        shutil.copytree(MODEL, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        write_weights(folder, model, model.named_parameters(), "r-1/train", size)
    assert len(list(parts.glob("*.safetensors"))) > 2
    for folder in (whole, parts):
        again = load_model(folder).state_dict()
        assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())
        assert check_weights(folder) > 4 * 10**6
