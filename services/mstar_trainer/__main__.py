"""`python -m mstar_trainer`: the worker on the queue `train`; `… job`: one step, and then the end."""

import sys

from mstar.early_stop import end_on_stop_signals


def main() -> None:
    """Work until told to stop, or do one step."""
    end_on_stop_signals()
    # Imported late, so that a stop signal is heeded while the libraries load.
    from mstar_trainer import job, worker

    if sys.argv[1:] not in ([], ["job"]):
        sys.exit("usage: python -m mstar_trainer [job]")
    (job if sys.argv[1:] else worker).main()


main()
