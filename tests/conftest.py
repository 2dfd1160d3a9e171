"""Marks as `quick` what needs no service, training, vLLM or PostgreSQL, and keeps tests from leaving anything behind.

Files of such tests that take long are marked `lengthy` instead. `make check` runs the quick tests, `make test` all,
shared out among processes: the tests of a file stay together, since they share what the file starts, and the files that
take longest come first, so that none is left over at the end.
Temporary files of the tests and of every process that they start lie in one folder, which goes with the last test;
logging and variables are set back after each test.
"""

import gc
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from warm_starts import LIBRARIES, WarmServer, possible, python_in

# How long an example takes depends on what else the machine does.
settings.register_profile("mstar", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile("mstar")

_WITH_SERVICES = {"charts", "docs", "repo", "system"}
_QUICK = "quick"
_WITHOUT_SERVICES = (_QUICK, "quick or lengthy or training")
"""What `make check` and `make coverage` choose."""
_NOT_QUICK = ("slow", "system", "vllm", "faults", "training")
_HERE = Path(__file__).parent
_OWN_FOLDER = pytest.StashKey[Path]()
_WARM_SERVER = pytest.StashKey[WarmServer]()
_OURS = "MSTAR_TESTS_TMPDIR"
"""Set for the processes among which tests are shared out: they use the first one's folder."""
_FIRST = "gw0"
"""The first of the processes among which tests are shared out."""
_COMPILING_SECONDS = 180.0
_LOADER = {name: value for name, value in os.environ.items() if name.startswith("LD_")}
"""Variables of the dynamic loader, before any library was imported."""
_LONGEST = (
    "mstar_policy/test_vllm_engine.py",
    "mstar_policy/test_openai.py",
    "mstar_policy/test_engine.py",
    "mstar_policy/test_vllm_swaps.py",
    "mstar_prm/test_vllm_scorer.py",
    "mstar_prm/test_vllm_faults.py",
    "repo/test_replay.py",
    "system/test_arrangements.py",
    "system/test_model_families.py",
    "repo/test_openapi.py",
    "mstar_worker/test_broker_faults.py",
    "mstar_trainer/test_resident.py",
    "system/test_study.py",
    "mstar_prm/test_hf_scorer.py",
    "system/test_alignment.py",
    "charts/test_processes.py",
    "mstar_trainer/test_options.py",
    "system/test_object_store.py",
    "system/test_compose.py",
    "system/test_loop.py",
    "system/test_mixed_images.py",
    "mstar_prm/test_attacks.py",
    "mstar_trainer/test_job.py",
    "system/test_remote_families.py",
    "system/test_same_files.py",
    "mstar_trainer/test_loading.py",
    "mstar_trainer/test_adapters.py",
    "system/test_poison_question.py",
    "mstar_prm/test_main.py",
    "repo/test_generated_clients.py",
    "system/test_sampled_tokens.py",
    "system/test_evaluation.py",
    "system/test_queued_evaluation.py",
    "system/test_examples.py",
    "system/test_trying.py",
    "system/test_early_stop.py",
    "mstar_trainer/test_tasks.py",
    "charts/test_linters.py",
    "repo/test_clients.py",
    "charts/test_releases.py",
    "charts/test_render.py",
)
"""Files that take more than about 20 seconds, longest first."""
_LENGTHY = {
    "mstar/answers/test_find.py",
    "mstar/answers/test_pairs.py",
    "mstar/test_cli.py",
    "mstar/test_live.py",
    "mstar/test_needed_scores.py",
    "mstar/test_run_plan.py",
    "mstar_artefacts/test_remote.py",
    "mstar_coordinator/api/test_comparing.py",
    "mstar_coordinator/api/test_door.py",
    "mstar_coordinator/api/test_oidc.py",
    "mstar_coordinator/api/test_routes.py",
    "mstar_coordinator/scheduler/test_model_trial.py",
    "mstar_coordinator/scheduler/test_repair.py",
    "mstar_coordinator/scheduler/test_run_lifecycle.py",
    "mstar_coordinator/scheduler/test_study_jobs.py",
    "mstar_coordinator/store/test_schema.py",
    "mstar_coordinator/test_dataset_source.py",
    "mstar_coordinator/worker/test_main.py",
    "mstar_data/test_importing.py",
    "mstar_data/test_packed.py",
    "mstar_models/test_forward_check.py",
    "mstar_policy/test_chat.py",
    "mstar_policy/test_engine.py",
    "mstar_policy/test_hf_engine.py",
    "mstar_prm/schemes/test_card.py",
    "mstar_prm/test_hf_scorer.py",
    "mstar_prm/test_scoring.py",
    "mstar_trainer/test_loading.py",
    "mstar_trainer/test_tasks.py",
}
"""Files without services that take more than about 8 seconds of CPU: together more than all others of their kind."""
_APART = {"repo/test_openapi.py", "mstar_worker/test_broker_faults.py"}
"""Long files whose tests share nothing: any process may take the next one."""
_ONE_VLLM = {
    "mstar_policy/test_vllm_engine.py",
    "mstar_policy/test_engine.py",
    "mstar_policy/test_openai.py",
    "mstar_policy/test_vllm_swaps.py",
    "mstar_prm/test_vllm_scorer.py",
    "mstar_prm/test_vllm_faults.py",
    "mstar_models/test_vllm_host.py",
}
"""Files whose tests share one vLLM, which takes many seconds to start, or its import, which takes 20."""
_APART_BY_PARAMETER = {"charts/test_processes.py"}
"""Long files whose tests share what their parameter starts."""


def pytest_configure(config: pytest.Config) -> None:
    """Have everything temporary in one folder, and one thread in each process.

    The folder's name is short: sockets lie below, whose paths are bounded.
    """
    # A quarter of the time of collecting tests would go into looking through what the imports leave.
    gc.disable()
    # A shell has what it runs in the background ignore Ctrl-C, and every process that a test starts would inherit that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Several processes share the cores: further threads would only wait for one another, and busily.
    for name, value in LIBRARIES.items():
        os.environ.setdefault(name, value)
    # Expected numbers are those of a CPU, also on a machine with a GPU; `MSTAR_TEST_GPU=1` lets tests use it.
    if not os.environ.get("MSTAR_TEST_GPU"):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if _OURS in os.environ:
        _start_programs_warm(Path(os.environ[_OURS]))
        return
    folder = Path(tempfile.mkdtemp(prefix="t-"))
    # PostgreSQL refuses to run as root, and finds its own folder in here as another user.
    folder.chmod(0o711)
    config.stash[_OWN_FOLDER] = folder
    os.environ[_OURS] = os.environ["TMPDIR"] = str(folder)
    # What was found before holds for the whole process else.
    tempfile.tempdir = None
    if possible(folder):
        config.stash[_WARM_SERVER] = WarmServer(folder)
        _start_programs_warm(folder)


def _start_programs_warm(folder: Path) -> None:
    """Have the tests start the project's programs in the way that `warm_starts` describes."""
    if (python := python_in(folder)).exists():
        sys.executable = str(python)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder, after the last process that uses it."""
    # What stays frozen at the interpreter's end is reported as leaks by some libraries, in pages on the terminal.
    gc.unfreeze()
    if (server := config.stash.get(_WARM_SERVER, None)) is not None:
        server.close()
    folder = config.stash.get(_OWN_FOLDER, None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Take back what `configure_logs` does to this process: its handler writes to a stream that ends with the test."""
    root, configuration = logging.getLogger(), structlog.get_config()
    level, before = root.level, root.handlers[:]
    yield
    for handler in root.handlers[:]:
        # pytest's own come and go with each phase of a test.
        if handler not in before and not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)
    root.setLevel(level)
    structlog.configure(**configuration)


@pytest.fixture(autouse=True)
def _variables_as_before() -> Iterator[None]:
    """Take back what a test leaves in the environment, and what fixtures before it left for the dynamic loader.

    An import of OpenCV leaves LD_LIBRARY_PATH, a start of vLLM LD_PRELOAD. With them no later program would be forked
    (`warm_stub`), and each would import torch for itself.
    """
    for name in [name for name in os.environ if name.startswith("LD_")]:
        _set(name, _LOADER.get(name))
    before = dict(os.environ)
    yield
    for name in os.environ.keys() | before.keys():
        _set(name, before.get(name))


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    elif os.environ.get(name) != value:
        os.environ[name] = value


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Don't even import what is left out anyway: that takes longer than many of the quick tests together."""
    wanted = config.option.markexpr
    left_out = (
        wanted in _WITHOUT_SERVICES and collection_path.parent == _HERE and collection_path.name in _WITH_SERVICES
    )
    lengthy = wanted == _QUICK and collection_path.is_relative_to(_HERE) and _place(collection_path) in _LENGTHY
    return True if left_out or lengthy else None


def _place(path: Path) -> str:
    """Below this folder, as the lists above name it."""
    return path.relative_to(_HERE).as_posix()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what can run within a minute on a busy laptop, and put the longest files first."""
    for item in items:
        heavy = any(item.get_closest_marker(name) for name in _NOT_QUICK)
        if item.path.relative_to(_HERE).parts[0] not in _WITH_SERVICES and not heavy and "postgresql" not in item.name:
            item.add_marker("lengthy" if _place(item.path) in _LENGTHY else _QUICK)
            continue
        # Real processes on a machine that others use: once more before a change is refused, and listed at the end.
        item.add_marker(pytest.mark.flaky(reruns=1))
        if config.pluginmanager.hasplugin("pytest_cov") and not item.get_closest_marker("training"):
            # It runs the same lines through processes that are not measured, and measuring would slow it down by half.
            item.add_marker("no_cover")
    order = {name: number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(_place(item.path), len(order)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection() -> None:
    """Have one process compile what all import, tests included: the others wait for it."""
    deadline = time.monotonic() + _COMPILING_SECONDS
    while os.environ.get("PYTEST_XDIST_WORKER", _FIRST) != _FIRST and not _compiled().exists():
        if time.monotonic() > deadline:
            break
        time.sleep(0.1)


def pytest_collection_finish() -> None:
    """Look for garbage among what the tests make only, not among libraries and tests."""
    gc.freeze()
    # A twentieth of the tests' time goes into collections at the interpreter's own threshold of 700.
    gc.set_threshold(20_000)
    gc.enable()
    _compiled().touch()


def _compiled() -> Path:
    """A file that is there once one process has imported everything."""
    return Path(os.environ[_OURS]) / "compiled"


class _Together(LoadScopeScheduling):
    """Hands out tests to processes, in their order; what shares something that it started goes to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        path, _, test = nodeid.partition("::")
        place = path.removeprefix("tests/")
        if place in _APART:
            return nodeid
        if place in _ONE_VLLM:
            return "one vLLM"
        return path + test[test.find("[") :] if place in _APART_BY_PARAMETER and "[" in test else path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Instead of xdist's own, which begins with the files of most tests: those that take longest have few."""
    config.option.loadscopereorder = False
    return _Together(config, log)
