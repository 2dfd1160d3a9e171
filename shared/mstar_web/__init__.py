"""What every HTTP service shares: settings, app base, authentication, limits, logs, metrics, serving."""
