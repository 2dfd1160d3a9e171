"""The coordinator: REST API, database, scheduler and step workers of M-STaR runs."""
