"""Bodies of files and batches, in the shape of OpenAI's Files and Batch APIs, so that OpenAI's clients read them.

Times are whole seconds since the epoch, as these clients expect.
"""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from mstar.types import Frozen

MAX_FILE_BYTES = 64 * 2**20
MAX_LINES = 50_000
"""Of one batch."""
MAX_PAIRS = 16
WINDOWS = {"1h": 3600, "24h": 86_400, "7d": 7 * 86_400}
"""`completion_window` → seconds."""
Window = Literal["1h", "24h", "7d"]
Endpoint = Literal["/v1/score", "/v1/rerank"]
CustomId = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class BatchState(StrEnum):
    """Where a batch stands."""

    IN_PROGRESS = "in_progress"
    CANCELLING = "cancelling"
    """The line in hand is still answered."""
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    FAILED = "failed"
    """Its input is gone or damaged; `errors` says how."""


OPEN_STATES = (BatchState.IN_PROGRESS, BatchState.CANCELLING)


class StoredFile(Frozen):
    """A file that was uploaded, or that a batch has written."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    filename: str
    """As its owner calls it; the service never uses it as a path."""
    purpose: str
    """`batch` for what was uploaded, `batch_output` for what a batch has written."""
    status: Literal["processed"] = "processed"
    sha256: str
    """Of the content."""


class DeletedFile(Frozen):
    """Answer to `DELETE /v1/files/{id}`."""

    id: str
    object: Literal["file"] = "file"
    deleted: bool = True


class BatchCreate(Frozen):
    """`POST /v1/batches`. An `Idempotency-Key` header makes a retry harmless."""

    input_file_id: str = Field(min_length=1, max_length=40)
    """A file of purpose `batch`: a line for each request, with `custom_id`, `method`, `url` and `body`."""
    endpoint: Endpoint
    """What every line asks for."""
    completion_window: Window = "24h"
    """What is not done by then is left out."""
    metadata: (
        dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]] | None
    ) = Field(default=None, max_length=MAX_PAIRS)
    """Notes of the caller's, which are kept and shown."""


class RequestCounts(Frozen):
    """Lines of a batch."""

    total: int
    completed: int
    failed: int


class BatchProblem(Frozen):
    """Why a batch as a whole has failed."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class BatchProblems(Frozen):
    """As OpenAI's clients read them."""

    object: Literal["list"] = "list"
    data: tuple[BatchProblem, ...]


class Batch(Frozen):
    """A batch as it is now."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    input_file_id: str
    completion_window: str
    status: BatchState
    errors: BatchProblems | None = None
    problem: str | None = None
    """What holds its requests up now, such as a PRM without weights; None while they are answered."""
    output_file_id: str | None = None
    """Answers, once the batch has ended; None where there is none."""
    error_file_id: str | None = None
    """Lines that were refused or expired, once the batch has ended; None where there is none."""
    created_at: int
    in_progress_at: int
    expires_at: int
    cancelling_at: int | None = None
    completed_at: int | None = None
    cancelled_at: int | None = None
    expired_at: int | None = None
    failed_at: int | None = None
    request_counts: RequestCounts
    metadata: dict[str, str] | None = None
