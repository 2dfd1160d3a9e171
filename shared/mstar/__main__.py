"""`python -m mstar` is the command `mstar`."""

from mstar.cli.main import main

main()
