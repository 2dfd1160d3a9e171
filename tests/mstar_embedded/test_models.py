"""What a service's log says of a model that it could not load, as the command line tells it."""

import json
from pathlib import Path

import pytest

from mstar_embedded.models import reason_of

LOG = Path("home/.mstar/logs/policy.log")
EVENT = {"folder": "/m", "event": "model of the settings not loaded", "level": "error"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (json.dumps(EVENT | {"detail": "model folder m has no config.json"}), "model folder m has no config.json"),
        (
            json.dumps(EVENT | {"exception": "Traceback (most recent call last):\n  File …\nKeyError: 'x'\n"}),
            "KeyError: 'x'",
        ),
        (json.dumps(EVENT), f"see {LOG}"),
        ("model of the settings not loaded", "model of the settings not loaded"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_told_in_words_and_without_a_trace(line: str, said: str) -> None:
    assert reason_of(line, LOG) == said
