"""One log for the trainer: what a training process writes leaves as JSON lines without secrets."""

import json
import logging
import sys

import pytest

from mstar_trainer.resident import _pass_on
from mstar_web.logs import configure_logs, one_log


def test_what_libraries_print_becomes_events_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("mstar-trainer")
    _pass_on('{"event": "said by the process itself"}\n', 0)
    _pass_on("cannot reach redis://user:hunter2@broker/0\n", 1)
    _pass_on("\n", 1)
    first, second = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert first == {"event": "said by the process itself"}
    assert (second["service"], second["rank"], second["line"]) == (
        "mstar-trainer",
        1,
        "cannot reach redis://[hidden]@broker/0",
    )


def test_libraries_with_handlers_of_their_own_log_like_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("a-library-of-its-own")
    library.addHandler(logging.StreamHandler(sys.stderr))
    library.propagate = False
    configure_logs("mstar-trainer")
    one_log()
    library.warning("Authorization: Bearer s3cret")
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told["logger"] == "a-library-of-its-own" and "s3cret" not in line
