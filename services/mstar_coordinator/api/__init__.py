"""The coordinator's HTTP API: routes, what they answer with, and how the process is put together."""
