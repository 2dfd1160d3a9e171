"""`mstar try` with a real policy, started for it alone."""

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.system, pytest.mark.slow]


def test_a_model_is_tried_without_a_stack() -> None:
    command = [sys.executable, "-c", "from mstar.cli import main; main()", "try", "--model", "builtin:minivista"]
    options = ["--data", "builtin:minivista", "--questions", "3", "--samples", "2", "--set", "generation.max_tokens=64"]
    done = subprocess.run([*command, *options, "--json"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    trial = json.loads(done.stdout)
    assert len(trial["tried"]) == 3 and trial["outcomes"]["responses"] == 6
    # The model that ships knows the layout, so nothing need change.
    assert (trial["answer"], trial["advice"], trial["outcomes"]["no_answer"]) == ("heading", "", 0)
    assert all(one["prompt"] == one["question"]["text"] for one in trial["tried"])
