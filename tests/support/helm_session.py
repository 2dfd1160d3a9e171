"""Helm's own actions on an API server, in a process with a home of its own: Helm remembers there what a server offers.

`python helm_session.py URL` reads one action a line from standard input and answers each with a line, both JSON.
`HelmSession` starts that. Releases are kept in the process and end with it; what this leaves out is that Secrets hold
them in a cluster.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from helm_python import Config, HelmError, _native

CHART = Path(__file__).parents[2] / "charts" / "mstar"
NAMESPACE = "ns"


class Refused(Exception):
    """What Helm says when an action fails."""


class HelmSession:
    """A person with Helm."""

    def __init__(self, url: str, home: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, __file__, url],
            env={name: value for name, value in os.environ.items() if name != "KUBECONFIG"} | {"HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "HelmSession":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(20)
        self._child.stdout.close()

    def install(self, name: str, values: dict[str, Any] | None = None) -> dict[str, Any]:
        return self._do("install", name, values or {})

    def upgrade(self, name: str, values: dict[str, Any] | None = None, *, force: bool = False) -> dict[str, Any]:
        """`force`: with --force-conflicts."""
        return self._do("force" if force else "upgrade", name, values or {})

    def uninstall(self, name: str) -> dict[str, Any]:
        return self._do("uninstall", name, {})

    def _do(self, action: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(json.dumps([action, name, values]) + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        if "refused" in answer:
            raise Refused(answer["refused"])
        return answer


def act(config: Config, action: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    if action == "install":
        return config.install(CHART, name, values, namespace=NAMESPACE)
    if action == "upgrade":
        return config.upgrade(CHART, name, values, namespace=NAMESPACE)
    if action == "uninstall":
        return config.uninstall(name)
    # The library knows the option, its Python side has no word for it.
    options = json.dumps({"namespace": NAMESPACE, "force_conflicts": True})
    chart = str(CHART)
    given = config._raw(), _native.HANDLE(0), _native.HANDLE(0), chart, name, json.dumps(values), options
    made: dict[str, Any] = json.loads(_native.call_string("helm_upgrade", *given))
    return made


def main() -> None:
    with Config(kube_apiserver=sys.argv[1], storage_driver="memory", namespace=NAMESPACE) as config:
        for line in sys.stdin:
            try:
                answer = act(config, *json.loads(line))
            except HelmError as error:
                answer = {"refused": str(error)}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
