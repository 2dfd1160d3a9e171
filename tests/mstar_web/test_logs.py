"""Tests of the log lines: one JSON object each, without secrets."""

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from mstar_web.logs import configure_logs


def last_line(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(capsys.readouterr().err.splitlines()[-1])
    return found


def test_lines_are_json_with_service_and_context(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("bench")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        structlog.get_logger("a").info("hello", rows=3)
    line = last_line(capsys)
    assert {key: line[key] for key in ("service", "event", "rows", "request_id", "level")} == {
        "service": "bench",
        "event": "hello",
        "rows": 3,
        "request_id": "r1",
        "level": "info",
    }


def test_secrets_are_hidden_from_structured_and_plain_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("bench")
    structlog.get_logger("a").info("opening", url="redis://user:hunter2@host/0", internal_key="hunter2")
    assert "hunter2" not in json.dumps(last_line(capsys))
    logging.getLogger("b").warning("refused Authorization: Bearer %s", "hunter2")
    line = last_line(capsys)
    assert "hunter2" not in json.dumps(line)
    assert line["service"] == "bench"


@pytest.mark.parametrize(("where", "said"), [("file", "policy.log"), ("pipe", "the standard error of this service")])
def test_an_unexpected_error_names_the_file_that_holds_it(tmp_path: Path, where: str, said: str) -> None:
    log = tmp_path / "policy.log"
    script = (
        "from mstar_web.logs import configure_logs\nfrom mstar_web.problems import problem_of\n"
        "import structlog\nconfigure_logs('mstar-policy')\n"
        "with structlog.contextvars.bound_contextvars(request_id='r1'):\n"
        "    print(problem_of(ValueError('what it was')).detail)"
    )
    with open(log, "wb") as file:
        ran = subprocess.run(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=file if where == "file" else subprocess.PIPE,
            timeout=60,
            check=True,
        )
    assert ran.stdout.decode().strip() == f"unexpected error: {said} has the details under request id r1"
    assert b"what it was" in (log.read_bytes() if where == "file" else ran.stderr)


def test_a_terminal_shows_what_callers_wrote_and_obeys_none_of_it() -> None:
    script = (
        "import logging, structlog\nfrom mstar_web.logs import configure_logs\nconfigure_logs('bench')\n"
        r"structlog.get_logger('a').warning('refused', field='\x1b[2J', name='a\n2026 [error] forged')"
        "\n"
        r"logging.getLogger('b').warning('plain \x1b]0;x\x07 %s', 'a\nb')"
    )
    ours, theirs = os.openpty()
    ran = subprocess.run([sys.executable, "-c", script], stderr=theirs, timeout=60, check=False)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert ran.returncode == 0 and len(shown.strip().splitlines()) == 2, shown
    # Colours are structlog's own.
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\u241b[2J" in plain and not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", plain)
