"""The ends of processes that tests start."""

import subprocess

import psutil


def gone(pid: int) -> bool:
    """Whether no process of this id runs; one that nobody has waited for does not."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def end(child: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    """Ask a child to end, and kill it where it does not in that time."""
    child.terminate()
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
