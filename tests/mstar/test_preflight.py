"""`mstar doctor --compose` against machines told as a table of what their commands print."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from mstar.cli.preflight import Ask, ask, preflight

ROOT = Path(__file__).parents[2]
COMPOSE, INFO, DRIVER = "docker compose", "docker info", "nvidia-smi -L"


def machine(answers: dict[str, str]) -> Ask:
    def answer(command: Sequence[str]) -> str | None:
        return answers.get(" ".join(command[:2]))

    return answer


def findings(folder: Path, answers: dict[str, str]) -> dict[str, tuple[bool, str]]:
    return {what: (ok, detail) for what, ok, detail in preflight(folder, machine(answers))}


def checkout(folder: Path, env: str) -> Path:
    (folder / ".env.example").write_text("A_KEY=\nB_KEY=\nPORT=1\n")
    (folder / ".env").write_text(env)
    return folder


def engine(**info: object) -> dict[str, str]:
    return {COMPOSE: "5.6.1\n", INFO: json.dumps(info), DRIVER: "GPU 0: a card\n"}


def test_a_ready_machine_lacks_nothing(tmp_path: Path) -> None:
    folder = checkout(tmp_path, "A_KEY=x\nB_KEY=y\n")
    for ready in ({"Runtimes": {"nvidia": {}}}, {"DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}):
        found = findings(folder, engine(**ready))
        assert set(found) == {"compose", ".env", "docker", "gpu"}
        assert all(ok for ok, _ in found.values()), found


def test_a_missing_toolkit_is_explained_with_its_remedy(tmp_path: Path) -> None:
    ok, detail = findings(checkout(tmp_path, ""), engine(Runtimes={"runc": {}}, DiscoveredDevices=None))["gpu"]
    assert not ok
    assert "NVIDIA Container Toolkit" in detail and "nvidia-ctk runtime configure" in detail


def test_without_a_driver_nothing_is_missing_and_the_cpu_files_are_named(tmp_path: Path) -> None:
    answers = engine(Runtimes={"runc": {}})
    del answers[DRIVER]
    found = findings(checkout(tmp_path, "A_KEY=x\nB_KEY=y\n"), answers)
    assert all(ok for ok, _ in found.values()), found
    files = re.findall(r"-f (\S+)", found["gpu"][1])
    assert files and all((ROOT / file).is_file() for file in files)


@pytest.mark.parametrize(
    ("env", "ok", "told"),
    [
        ("", True, "uses 1, 2, 3"),
        ("POLICY_GPUS=0,1\nPRM_GPUS=2\nTRAINER_GPUS=3\n", True, "can hand out NVIDIA GPUs"),
        ("POLICY_GPUS=0,1,2,3,4\n", False, "name 4, but nvidia-smi lists 0 to 3"),
        ("POLICY_GPUS=GPU-8f\n", True, "can hand out NVIDIA GPUs"),
    ],
)
def test_the_gpus_that_are_named_are_held_against_those_that_are_there(
    tmp_path: Path, env: str, ok: bool, told: str
) -> None:
    cards = "".join(f"GPU {number}: a card (UUID: GPU-{number})\n" for number in range(4))
    answers = engine(Runtimes={"nvidia": {}}) | {DRIVER: cards}
    found, detail = findings(checkout(tmp_path, env), answers)["gpu"]
    assert found is ok and detail.count(told) == 1
    assert ("no service" in detail) is told.startswith("uses")


def test_empty_keys_are_named(tmp_path: Path) -> None:
    assert findings(checkout(tmp_path, "A_KEY=x\nB_KEY=\nPORT=2\n"), {})[".env"] == (False, "empty: B_KEY")
    (tmp_path / ".env").unlink()
    assert "cp .env.example .env" in findings(tmp_path, {})[".env"][1]


@pytest.mark.parametrize(
    ("password", "fits"), [("a1-B.c_d~", True), ('"quoted"', True), ("a/b", False), ("a@b", False), ("a%41", False)]
)
def test_a_password_that_would_tear_its_url_is_refused_but_not_shown(tmp_path: Path, password: str, fits: bool) -> None:
    (tmp_path / ".env.example").write_text("REDIS_PASSWORD=\n")
    (tmp_path / ".env").write_text(f"REDIS_PASSWORD={password}\n")
    ok, said = findings(tmp_path, {})[".env"]
    assert ok is fits
    assert fits or (said.startswith("REDIS_PASSWORD becomes part of a URL") and password not in said)


def test_without_an_engine_nothing_is_said_about_gpus(tmp_path: Path) -> None:
    found = findings(checkout(tmp_path, ""), {})
    assert not found["compose"][0] and not found["docker"][0] and "gpu" not in found


def test_a_command_that_is_missing_or_fails_has_no_answer() -> None:
    assert ask(("no-such-command-anywhere",)) is None
    assert ask(("false",)) is None
    assert ask(("echo", "here")) == "here\n"


@pytest.mark.parametrize(
    ("answer", "ok", "said"),
    [
        ("2.29.1\n", True, "2.29.1 as `docker-compose`"),
        ("v5.0.0", True, "v5.0.0"),
        ("1.29.2", False, "1.29.2 is too old"),
    ],
)
def test_the_standalone_compose_counts_from_version_2(tmp_path: Path, answer: str, ok: bool, said: str) -> None:
    found = findings(tmp_path, {"docker-compose version": answer})["compose"]
    assert found[0] is ok and said in found[1]
