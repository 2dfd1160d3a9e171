"""The real packages, without a network: every tracker keeps the same points under the same names."""

import os
from pathlib import Path

import pytest

from mstar.errors import InvalidRecipe
from mstar.trackers import Tracker
from mstar_coordinator.tracking.sinks import PACKAGES, require_installed
from partners import in_partner

SCRIPT = Path(__file__).parent / "tools" / "track.py"
POINTS = {"eval/accuracy_id": [[1, 0.25], [2, 0.5]], "train/loss": [[10, 1.0], [20, 0.5]]}


@pytest.mark.slow
@pytest.mark.parametrize("tracker", list(Tracker))
def test_a_tracker_keeps_one_run_with_all_points(tracker: Tracker, tmp_path: Path) -> None:
    kept = in_partner(PACKAGES[tracker][0], SCRIPT, tracker.value, str(tmp_path))
    assert kept["points"] == POINTS
    if tracker is Tracker.MLFLOW:
        assert (kept["name"], kept["state"]) == ("bars", "FINISHED")
        assert kept["tables"] == ["samples/iteration-01.jsonl", "samples/iteration-02.jsonl"]
    if tracker is Tracker.TENSORBOARD:
        assert "| How many \\| bars? | two ⏎ lines | yes | equal | 0.50 |" in kept["tables"][0]
    if tracker is Tracker.WANDB:
        assert kept["ids"] == ["run-20260101-000000-abcdef"]
    # Beside the home folder nothing is left.
    assert sorted(os.listdir(tmp_path)) in ([".mstar"], ["run-20260101-000000-abcdef"])


def test_a_tracker_that_is_not_there_is_refused_by_name() -> None:
    missing = [one for one in Tracker if one is not Tracker.WANDB]
    with pytest.raises(InvalidRecipe, match="pip install") as caught:
        require_installed(missing)
    assert caught.value.field == "tracking"
    require_installed([])
