"""Start the coordinator: `python -m mstar_coordinator` is the API, `… worker --queues control,score` a worker."""

import argparse
import sys

from mstar.early_stop import end_on_stop_signals


def main() -> None:
    """Serve, or work, until told to stop. What can't start ends with one line and code 1."""
    # Before anything heavy is imported: a signal that comes while the process starts ends it without a trace.
    end_on_stop_signals()
    parser = argparse.ArgumentParser(prog="mstar_coordinator", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    worker = commands.add_parser("worker", help="do steps of some queues")
    worker.add_argument("--queues", required=True, help="comma-separated: control, rollout, score")
    arguments = parser.parse_args()
    if arguments.command == "worker":
        _work(arguments.queues)
    else:
        _serve()


def _serve() -> None:
    # Imported here: a worker needs no web framework, and a wrong argument is answered at once.
    from mstar.environment import read_settings
    from mstar.errors import MstarError
    from mstar_coordinator.api.app import create_app
    from mstar_coordinator.config import CoordinatorSettings
    from mstar_web.serve import run

    try:
        settings = read_settings(CoordinatorSettings)
        run(create_app(settings), settings)
    except MstarError as error:
        sys.exit(error.detail)


def _work(queues: str) -> None:
    from mstar_coordinator.worker.main import main as work

    work(queues)


main()
