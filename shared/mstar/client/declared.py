"""What declared operations are made of."""

import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mstar.client.endpoint import Endpoint
from mstar.client.operations import Call, Reply


class Declared:
    """Base of classes that declare operations, which clients inherit."""

    endpoint: Endpoint

    def _call(
        self,
        reply: type[Reply],
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Call[Reply]:
        """A call to the coordinator."""
        return Call(reply, self.endpoint.runs, method, path, body, params, headers, timeout)


def given(**parameters: Any) -> dict[str, Any]:
    """Query parameters without those that are None."""
    # The HTTP library sends None as an empty value, which the server refuses for a state or a number.
    return {name: value for name, value in parameters.items() if value is not None}


def once(key: str | None) -> dict[str, str]:
    """The header by which a retry of this call begins nothing new; a key of its own where the caller gives none."""
    # Made when the call is, so that all tries of it carry one key, and a second call another.
    return {"Idempotency-Key": uuid.uuid4().hex if key is None else key}
