"""Each service as a real process under what its own OpenAPI document allows and forbids (schemathesis).

No crash, no undocumented answer, nothing accepted that the document refuses. MSTAR_FUZZ_EXAMPLES=500 searches longer.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from real_services import brief_policy, coordinator, prm

EXAMPLES = os.environ.get("MSTAR_FUZZ_EXAMPLES", "3")
ALIASES = {
    coordinator: {"/pooling": ("/v1/score", "/score", "/v1/rerank", "/v2/rerank", "/rerank")},
    brief_policy: {},
    prm: {"/v1/score": ("/score",), "/v1/rerank": ("/v2/rerank", "/rerank")},
}
"""Paths of one function, by the path that is searched for all of them.

The coordinator passes these bodies on unread, and here to nobody: their rules are searched in the PRM that has them.
"""


@pytest.mark.system
@pytest.mark.slow
@pytest.mark.parametrize("started", ALIASES, ids=lambda started: started.__name__.removeprefix("brief_"))
def test_no_request_that_the_document_describes_breaks_a_service(
    started: Callable[[Path], AbstractContextManager[str]], tmp_path: Path
) -> None:
    aliases = [path for others in ALIASES[started].values() for path in others]
    with started(tmp_path) as url:
        paths = httpx2.get(f"{url}/openapi.json", timeout=60).json()["paths"]
        for searched, others in ALIASES[started].items():
            assert all(_behind(paths[other]) == _behind(paths[searched]) for other in others)
        found = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "--config-file"),
                *(str(Path(__file__).with_name("schemathesis.toml")), "run", f"{url}/openapi.json"),
                *("--checks", "all", "--phases", "examples,coverage,fuzzing", "-n", EXAMPLES, "--seed", "1"),
                # A thousand samples for one question take a small machine a while.
                *("--request-timeout", "60", "--max-response-time", "60"),
                # Who sleeps refuses the rest of the search.
                *(part for path in ("/v1/power", *aliases) for part in ("--exclude-path", path)),
                *("--warnings", "off", "--no-color", "--generation-database", "none"),
            ],
            cwd=tmp_path,
            # It looks for proxies among all variables at every request.
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert found.returncode == 0, found.stdout + found.stderr


def _behind(path: dict[str, Any]) -> tuple[object, ...]:
    """What a path's document says of the function that answers there."""
    asked = path["post"]
    return asked.get("description"), asked.get("tags"), asked.get("parameters"), sorted(asked["responses"])
