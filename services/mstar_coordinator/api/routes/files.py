"""`/v1/files`: upload, list, show, read and delete files for batches, in the shape of OpenAI's Files API."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from mstar.api.batches import MAX_FILE_BYTES, DeletedFile, StoredFile
from mstar.api.runs import Page
from mstar.errors import InvalidInput, Unavailable, UnsupportedMediaType
from mstar_coordinator.api.archives import Entry, plain
from mstar_coordinator.api.ranges import ranged
from mstar_coordinator.api.routes.context import Caller, Coordinator, Limit, paged
from mstar_coordinator.api.routes.downloads import OTHERWISE
from mstar_coordinator.store.batches import FileRecord
from mstar_web.bodies import JsonRoute
from mstar_web.browsers import FORM as FORM_TYPE

FILES_PATH = "/v1/files"
UPLOAD_BYTES = MAX_FILE_BYTES + 2**16
"""With what a form adds to its file."""
MAX_NAME = 200
router = APIRouter(prefix=FILES_PATH, tags=["batches"], route_class=JsonRoute)

FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "JSON lines, up to 64 MiB."},
                        "purpose": {"type": "string", "enum": ["batch"]},
                    },
                }
            }
        },
    }
}


@router.post("", openapi_extra=FORM)
async def upload_file(coordinator: Coordinator, caller: Caller, request: Request) -> StoredFile:
    """Keep a file for batches: a form with `file` and `purpose`, which is `batch`."""
    if not request.headers.get("content-type", "").lower().startswith(FORM_TYPE):
        raise UnsupportedMediaType(f"send a form ({FORM_TYPE}) with `file` and `purpose`")
    try:
        # The bound of a part is that of fields in memory; a file goes to the disk, up to `UPLOAD_BYTES` in all.
        form = await request.form(max_files=1, max_fields=8, max_part_size=2**16)
    except HTTPException as error:
        raise InvalidInput(f"body: not a form: {error.detail}", field="body") from None
    try:
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, UploadFile):
            raise InvalidInput("file: send the file as a part of the form, with a file name", field="file")
        if purpose != "batch":
            raise InvalidInput("purpose: only `batch` is supported", field="purpose")
        name = _shown(file.filename or "upload.jsonl")
        record = await run_in_threadpool(coordinator.batches.shelf.upload, file.file, name, caller)
    finally:
        await form.close()
    return _view(record)


@router.get("")
def list_files(
    coordinator: Coordinator,
    caller: Caller,
    limit: Limit = 20,
    after: Annotated[str | None, Query(max_length=40, description="`last_id` of the page before.")] = None,
    purpose: Annotated[Literal["batch", "batch_output"] | None, Query(description="Only files of it.")] = None,
) -> Page[StoredFile]:
    """Files of the caller's project, newest first."""
    with coordinator.store.reading() as tx:
        found = tx.batches.file_page(caller.view, purpose, after, limit + 1)
    return paged([_view(one) for one in found], limit, [one.id for one in found])


@router.get("/{file_id}")
def get_file(coordinator: Coordinator, file_id: str) -> StoredFile:
    """One file, without its content."""
    with coordinator.store.reading() as tx:
        return _view(tx.batches.file(file_id))


@router.get("/{file_id}/content", response_class=StreamingResponse, responses=OTHERWISE)
def get_file_content(coordinator: Coordinator, request: Request, file_id: str) -> Response:
    """The content of a file. Heeds `Range`, `If-Range` and `If-None-Match`."""
    with coordinator.store.reading() as tx:
        record = tx.batches.file(file_id)
    path = coordinator.batches.shelf.path(record.id)
    try:
        about = path.stat()
    except OSError as error:
        raise Unavailable(f"the content of file {record.id} cannot be read", retry_after=60) from error
    entry = Entry(record.id, path, about.st_size, about.st_mtime_ns)
    return ranged(plain(entry), request.headers, "application/jsonl", f"{record.id}.jsonl")


@router.delete("/{file_id}")
def delete_file(coordinator: Coordinator, file_id: str) -> DeletedFile:
    """Delete a file; one that a batch still reads is refused with 409."""
    coordinator.batches.shelf.delete(file_id)
    return DeletedFile(id=file_id)


def _shown(name: str) -> str:
    """A name as it is listed: printable and short. It is never a path of ours."""
    return "".join(one if one.isprintable() else "_" for one in name)[:MAX_NAME]


def _view(record: FileRecord) -> StoredFile:
    return StoredFile(
        id=record.id,
        bytes=record.bytes,
        created_at=int(record.created_at),
        filename=record.filename,
        purpose=record.purpose,
        sha256=record.sha256,
    )
