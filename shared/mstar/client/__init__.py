"""Typed HTTP clients of coordinator, scoring endpoint and policy: `Client`, and `AsyncClient` to be awaited.

Errors come back as the classes of `mstar.errors`. What this leaves out: internal routes, which are the workers'.
"""

from mstar.client.asynchronous import AsyncClient
from mstar.client.endpoint import DEFAULT_POLICY_URL, DEFAULT_PRM_URL, DEFAULT_URL, Endpoint
from mstar.client.retries import ONCE, Retries
from mstar.client.synchronous import Client

__all__ = [
    "DEFAULT_POLICY_URL",
    "DEFAULT_PRM_URL",
    "DEFAULT_URL",
    "ONCE",
    "AsyncClient",
    "Client",
    "Endpoint",
    "Retries",
]
