"""The one error tree. Status and code stand on the class; a service turns any of them into RFC 9457 problem+json.

    MstarError
    ├── BadRequest 400            not valid HTTP
    ├── InvalidInput 422          bad field in a request, recipe or data set
    │   ├── InvalidRecipe 422
    │   ├── InvalidDataset 422
    │   ├── InvalidImage 422
    │   ├── UnsupportedImage 415
    │   ├── UnsupportedMediaType 415  a change whose body is not declared as JSON
    │   └── IdempotencyMismatch 422
    ├── Unauthenticated 401
    ├── Forbidden 403
    ├── NotFound 404              run, step, checkpoint or artefact that does not exist
    ├── Conflict 409
    │   ├── IllegalTransition 409 the run's state does not allow the request
    │   ├── StepTaken 409         the step is leased, finished or not due
    │   ├── StaleEpoch 409        a newer claim exists; the work of this one is void
    │   └── WeightVersionMismatch 409
    ├── RequestTimeout 408        the request did not arrive in time
    ├── TooLarge 413
    ├── MisdirectedRequest 421    a host name that this service does not answer to
    ├── TooManyRequests 429       with retry_after
    ├── ClientGone 499            the caller closed the connection
    ├── Internal 500
    │   ├── CorruptArtefact 500   a hash does not match its manifest
    │   └── NotWritable 500       no permission for a file or folder of the service
    ├── Unavailable 503           not ready, draining or overloaded; with retry_after
    │   ├── Unanswered 503        the connection ended before an answer
    │   └── Unreachable 503       nobody took the connection
    └── StorageFull 507

An error's `detail` is written for the person who sent the request: it names the field and the fix.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

MAX_DETAIL = 2000
YEAR = 366 * 86_400.0
"""Seconds; a longer pause is nobody's answer."""
MAX_FIELD = 200
"""Characters of an error's texts."""


class MstarError(Exception):
    """Base of every expected failure."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, field: str | None = None, retry_after: float | None = None) -> None:
        """`detail` and `field` may quote what a caller sent, so both are cut to a readable length."""
        self.detail = _shortened(detail, MAX_DETAIL)
        self.field = None if field is None else _shortened(field, MAX_FIELD)
        super().__init__(self.detail)
        self.retry_after = retry_after
        self.logged = False
        """Whether the log has it already, as one line for all requests that meet the same outage."""

    # Exceptions are pickled between processes by their args alone, which would lose field and retry_after.
    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.detail, self.field, self.retry_after))

    def problem(self) -> dict[str, Any]:
        """Body of RFC 9457, with an `error` member so that OpenAI clients show the text."""
        body: dict[str, Any] = {
            "type": f"urn:mstar:error:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "error": {"message": self.detail, "type": self.code, "param": self.field, "code": self.code},
        }
        if self.field is not None:
            body["field"] = self.field
        if self.retry_after is not None:
            body["retry_after"] = self.retry_after
        return body


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _rebuild(kind: type[MstarError], detail: str, field: str | None, retry_after: float | None) -> MstarError:
    return kind(detail, field=field, retry_after=retry_after)


class BadRequest(MstarError):
    """The bytes are not valid HTTP."""

    status, code, title = 400, "bad-request", "Bad request"


class InvalidInput(MstarError):
    """A field of a request has a value that cannot be used."""

    status, code, title = 422, "invalid-input", "Invalid input"


class InvalidRecipe(InvalidInput):
    """A recipe or one of its overrides cannot be used; `field` is its dotted path."""

    code, title = "invalid-recipe", "Invalid recipe"


class InvalidDataset(InvalidInput):
    """A data set or one of its records cannot be used."""

    code, title = "invalid-dataset", "Invalid data set"


class InvalidImage(InvalidInput):
    """The bytes are not an image that can be decoded within the limits."""

    code, title = "invalid-image", "Invalid image"


class UnsupportedImage(InvalidInput):
    """The image has a format that is not on the allow-list."""

    status, code, title = 415, "unsupported-image", "Unsupported image format"


class UnsupportedMediaType(InvalidInput):
    """A change whose body is not declared as JSON."""

    status, code, title = 415, "unsupported-media-type", "Unsupported media type"


class IdempotencyMismatch(InvalidInput):
    """The key came before with another body."""

    code, title = "idempotency-mismatch", "Idempotency-Key used with another body"


class Unauthenticated(MstarError):
    """No key, or one that nobody has."""

    status, code, title = 401, "unauthenticated", "Authentication required"


class Forbidden(MstarError):
    """The key's role may not do this, or a path leads out of the allowed folder."""

    status, code, title = 403, "forbidden", "Not allowed"


class NotFound(MstarError):
    """The run, step, checkpoint, artefact or route does not exist."""

    status, code, title = 404, "not-found", "Not found"


class MissingArtefact(NotFound):
    """What a step has left is gone."""

    code = "missing-artefact"


class Conflict(MstarError):
    """What is asked for contradicts what is there now."""

    status, code, title = 409, "conflict", "Conflict"


class IllegalTransition(Conflict):
    """The run's state does not allow the request."""

    code, title = "illegal-transition", "Not possible in this state"


class StepTaken(Conflict):
    """The step is leased, finished or not due."""

    code, title = "step-taken", "Step cannot be claimed"


class StaleEpoch(Conflict):
    """A newer claim exists, so the work of this one is void."""

    code, title = "stale-epoch", "Claim is no longer valid"


class WeightVersionMismatch(Conflict):
    """Another version of the weights is loaded than the one asked for."""

    code, title = "weight-version-mismatch", "Another weight version is loaded"


class RequestTimeout(MstarError):
    """The request did not arrive in time."""

    status, code, title = 408, "request-timeout", "Request took too long to arrive"


class TooLarge(MstarError):
    """The request has more bytes, items or pixels than the service takes."""

    status, code, title = 413, "too-large", "Request too large"


class MisdirectedRequest(MstarError):
    """The Host header names a host that this service does not answer to."""

    status, code, title = 421, "misdirected-request", "Host not served here"


class TooManyRequests(MstarError):
    """The caller or the service has as much work as it takes; try again after `retry_after` seconds."""

    status, code, title = 429, "too-many-requests", "Too many requests"


class HeadTooLarge(MstarError):
    """First line and headers of the request are longer than the service reads."""

    status, code, title = 431, "head-too-large", "Request head too large"


class ClientGone(MstarError):
    """The caller closed the connection, so nobody reads the answer. 499 is nginx's status for it."""

    status, code, title = 499, "client-gone", "Client closed the request"


class Internal(MstarError):
    """Something that should not happen; the log has the details."""


class CorruptArtefact(Internal):
    """A file does not match the hash in its manifest, or is missing."""

    code, title = "corrupt-artefact", "Artefact does not match its manifest"


class NotWritable(Internal):
    """A file cannot be written, though there is room: mostly for a missing permission. `mstar.writing` makes these."""

    code, title = "not-writable", "File cannot be written"


class ProbeFailed(Internal):
    """A service answers otherwise than the weights that it was given."""

    code, title = "probe-failed", "Weights do not answer as they should"


class Unavailable(MstarError):
    """Not ready, draining, or something the service needs does not answer."""

    status, code, title = 503, "unavailable", "Not available now"


class Unanswered(Unavailable):
    """The connection ended before an answer: nobody can tell whether the request was carried out."""

    code, title = "unanswered", "No answer"


class Unreachable(Unavailable):
    """Nobody took the connection, so nothing was carried out."""

    code, title = "unreachable", "Nobody listens there"


class StorageFull(MstarError):
    """The disk or database has no room."""

    status, code, title = 507, "storage-full", "No storage left"


def _tree(root: type[MstarError]) -> dict[str, type[MstarError]]:
    found = {root.code: root}
    for child in root.__subclasses__():
        # Internal inherits its code from the root, and it is what the code stands for.
        found |= _tree(child)
    return found


def from_problem(problem: Mapping[str, Any], status: int) -> MstarError:
    """Rebuild the error that a service answered with; unknown codes become the nearest class by status."""
    by_code = _tree(MstarError)
    kind = by_code.get(str(problem.get("code", "")))
    if kind is None:
        # The tree lists a class before its children, so this is the most general one: Conflict for 409.
        kind = next((k for k in by_code.values() if k.status == status), Internal)
    field, retry_after = problem.get("field"), problem.get("retry_after")
    # A proxy, or a service of another release, may send anything under these names.
    usable = isinstance(retry_after, int | float) and not isinstance(retry_after, bool) and 0 <= retry_after < YEAR
    return kind(
        str(problem.get("detail") or problem.get("title") or f"HTTP {status}"),
        field=field if isinstance(field, str) else None,
        retry_after=float(retry_after) if usable and retry_after is not None else None,
    )
