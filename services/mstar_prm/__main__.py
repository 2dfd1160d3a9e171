"""Start the PRM service: `python -m mstar_prm`."""

from mstar.early_stop import end_on_stop_signals


def main() -> None:
    """Serve until told to stop."""
    end_on_stop_signals()
    # Imported late, so that a stop signal is heeded while the libraries load.
    from mstar.environment import read_settings
    from mstar_prm.app import create_app
    from mstar_prm.config import PrmSettings
    from mstar_web.serve import run

    settings = read_settings(PrmSettings)
    run(create_app(settings), settings)


if __name__ == "__main__":
    main()
