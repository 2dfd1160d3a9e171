"""Starts of the project's own programs without the seconds of CPU that importing torch and transformers takes.

While the tests run, `sys.executable` is a small program. It hands every command to the real interpreter, except for
those in `PROGRAMS`: these are forked off a process that has already imported their libraries (`warm_server`). Such a
process has its own sockets, environment, folder, streams and exit code, and its own `main()` runs in it. In place of it
a stub waits (`warm_stub`), which passes signals on; when the stub is killed, the process is killed too.

What is not the same: the process id is the stub's, and all processes share one seed of string hashes. Tests that need
the real thing start `COLD_PYTHON`, and `MSTAR_TESTS_COLD=1` starts everything that way.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

CLIENT_MODULES = ("mstar.client", "mstar.recipes", "mstar.study", "mstar_artefacts.store", "rich.live", "rich.progress")
"""What the command line is made of, but not itself: it looks at the terminal while it is imported."""
POLICY = ("mstar_policy.app", "mstar_policy.hf_engine", "mstar_web.serve")
PRM = ("mstar_prm.app", "mstar_prm.hf_scorer", "mstar_web.serve")
RANK = ("mstar_trainer.training_loop", "mstar_trainer.deepspeed_engine")
PROGRAMS: dict[tuple[str, str], tuple[str, ...]] = {
    ("-m", "mstar_policy"): POLICY,
    ("-m", "mstar_policy.align"): POLICY,
    ("-m", "mstar_prm"): PRM,
    ("-m", "mstar_prm.align"): PRM,
    ("-m", "mstar_prm.scorer_process"): (*PRM, "mstar_prm.scorer_frames"),
    ("-m", "mstar_trainer"): ("mstar_trainer.worker", "mstar_trainer.job"),
    ("-m", "mstar_trainer.align"): RANK,
    ("-m", "mstar_trainer.rank_main"): RANK,
    ("-m", "mstar_coordinator"): ("mstar_coordinator.api.app", "mstar_coordinator.worker.main"),
    ("-c", "from mstar.cli import main; main()"): CLIENT_MODULES,
    ("-m", "warm_probe"): (),
}
"""First two arguments of a command → what it imports before it does anything."""
LIBRARIES = {
    "GOMP_SPINCOUNT": "0",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}
"""Variables that libraries read while they are imported, as `mstar up` sets them.

All programs that tests start have them, so that each is imported once, whoever starts it.
"""
ENGINES = ("hf_engine", "hf_scorer", "training_loop")
"""Programs that import one of these load the small model sooner or later, and with it these modules."""
MODEL_MODULES = (
    "transformers.models.idefics3.image_processing_pil_idefics3",
    "transformers.models.idefics3.modeling_idefics3",
    "transformers.models.idefics3.processing_idefics3",
    "transformers.models.llama.modeling_llama",
    # Asked for by every processor, and a second of imports where mistral_common is installed.
    "transformers.tokenization_mistral_common",
)
COLD_PYTHON = sys.executable
"""The real interpreter."""
START_SECONDS = 60.0
LONGEST_FOLDER = 80
"""Bytes. Linux takes 107 for a socket's whole path."""
_HERE = Path(__file__).parent


def possible(folder: Path) -> bool:
    """Whether programs can be forked, with a server whose socket lies below this folder.

    Linux's means are needed, no GPU, whose driver does not survive a fork, and a path that a socket may have.
    """
    wanted = sys.platform == "linux" and not os.environ.get("MSTAR_TESTS_COLD")
    return wanted and not Path("/dev/nvidiactl").exists() and len(os.fsencode(folder)) <= LONGEST_FOLDER


def imports_of(head: tuple[str, str]) -> tuple[str, ...]:
    """Modules that are imported before such a program is forked off."""
    own = PROGRAMS[head]
    return own + MODEL_MODULES if any(name.endswith(ENGINES) for name in own) else own


class WarmServer:
    """The process that forks, and the folder with the program that stands for the interpreter."""

    def __init__(self, folder: Path) -> None:
        """Write the program and start the process, which imports nothing before it is asked to."""
        bin_folder = python_in(folder).parent
        bin_folder.mkdir(parents=True)
        # Other programs are looked for beside the interpreter.
        for path in Path(COLD_PYTHON).parent.iterdir():
            if not path.name.startswith("python"):
                (bin_folder / path.name).symlink_to(path)
        socket = folder / "warm" / "s"
        cases = "\n".join(f'"{" ".join(head)}") exec {_stub(socket)} "$@" ;;' for head in PROGRAMS)
        python_in(folder).write_text(f'#!/bin/sh\ncase "$1 $2" in\n{cases}\nesac\nexec "{COLD_PYTHON}" "$@"\n')
        python_in(folder).chmod(0o755)
        command = [COLD_PYTHON, str(_HERE / "warm_server.py"), str(socket), str(os.getpid())]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        with open(folder / "warm" / "log", "wb") as log:
            self._process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        while not socket.exists():
            assert self._process.poll() is None and time.monotonic() < deadline, (folder / "warm" / "log").read_text()
            time.sleep(0.01)

    def close(self) -> None:
        """End it, and with it all that it has forked."""
        self._process.kill()
        self._process.wait()


def python_in(folder: Path) -> Path:
    """The program that stands for the interpreter, where the folder has a server."""
    return folder / "warm" / "bin" / "python"


def _stub(socket: Path) -> str:
    # Without site-packages and variables of Python the stub starts in a hundredth of a second.
    return f'"{COLD_PYTHON}" -I -S "{_HERE / "warm_stub.py"}" "{socket}" "{COLD_PYTHON}"'
