"""The command line `mstar`. Heavy imports stay inside the commands, so that `mstar --help` is quick."""

from mstar.cli.main import main

__all__ = ["main"]
