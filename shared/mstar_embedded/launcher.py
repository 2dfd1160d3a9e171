"""Run a command that can't outlive its parent: `python -m mstar_embedded.launcher PARENT_PID COMMAND …`.

On Linux the kernel kills the process when the supervisor dies, even by SIGKILL; the setting survives exec. Elsewhere
nothing is set, and a supervisor that was killed leaves children for the next `mstar up` to find by its pid file.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Bind to the parent's life, then become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        # The parent may have died before the setting was made; then no signal comes any more.
        if os.getppid() != parent:
            sys.exit("the supervisor died before its child began")
    os.execvp(command[0], command)  # noqa: S606 - the supervisor's own command


if __name__ == "__main__":
    main()
