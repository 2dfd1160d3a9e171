"""`python -m mstar_policy`: serve the policy until SIGTERM."""

from mstar.early_stop import end_on_stop_signals


def main() -> None:
    """Serve until SIGTERM. Raises SystemExit for a setting that is not valid."""
    end_on_stop_signals()
    # Imported late, so that a stop signal is heeded during the seconds that torch takes to load.
    from mstar.environment import read_settings
    from mstar_policy.app import build_app, make_engine
    from mstar_policy.config import PolicySettings
    from mstar_web.serve import run

    settings = read_settings(PolicySettings)
    run(build_app(settings, make_engine(settings)), settings)


if __name__ == "__main__":
    main()
