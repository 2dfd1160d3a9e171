"""Start the trainer's worker: `python -m mstar_trainer`."""

from mstar_trainer.worker import main

main()
