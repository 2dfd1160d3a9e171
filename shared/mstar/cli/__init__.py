"""The command line `mstar`. Heavy imports stay inside the commands, so that `mstar --help` is quick."""

import sys

try:
    from mstar.cli.main import main
except KeyboardInterrupt:
    # Ctrl-C while the program is being loaded, which takes seconds on a busy machine.
    sys.exit(130)

__all__ = ["main"]
