"""A checkpoint is refused before it fills the disk."""

from pathlib import Path

import pytest

from mstar.errors import StorageFull
from mstar_trainer.checkpoints import require_space


def test_a_disk_without_room_is_named_first(tmp_path: Path) -> None:
    require_space(tmp_path, 1)
    with pytest.raises(StorageFull, match="a checkpoint needs 1000000000000 MB"):
        require_space(tmp_path, 10**18)
    assert list(tmp_path.iterdir()) == []
