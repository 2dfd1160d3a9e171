"""`/v1/runs/{id}/downloads`: what a run leaves, as a tar archive or file by file, whole or from any byte on."""

from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi import Path as InPath
from starlette.responses import StreamingResponse

from mstar.api.downloads import Download, DownloadFile, Part
from mstar.api.runs import Page
from mstar_coordinator.api.archives import archive, plain
from mstar_coordinator.api.ranges import ranged
from mstar_coordinator.api.routes.context import Context, Coordinator, paged
from mstar_web.bodies import JsonRoute

router = APIRouter(prefix="/v1/runs/{run_id}/downloads", tags=["downloads"], route_class=JsonRoute)
FileName = Annotated[str, InPath(max_length=500, description="As it is listed, such as `policy/config.json`.")]
OTHERWISE: dict[int | str, dict[str, Any]] = {
    206: {"description": "The range that was asked for."},
    304: {"description": "What the caller has is still right."},
    412: {"description": "What `If-Match` names is no longer what is here."},
    416: {"description": "The range lies beyond the end."},
}


@router.get("")
def list_downloads(coordinator: Coordinator, run_id: str) -> Page[Download]:
    """What can be taken away of the run by now."""
    found = coordinator.files.there(_folder(coordinator, run_id))
    return paged(found, len(found), [one.part.value for one in found])


@router.get("/{part}", response_class=StreamingResponse, responses=OTHERWISE)
def download_archive(coordinator: Coordinator, request: Request, run_id: str, part: Part) -> Response:
    """A tar archive of a part. Heeds `Range`, `If-Range` and `If-None-Match`, so that a download can go on."""
    entries = coordinator.files.entries(_folder(coordinator, run_id), part)
    return ranged(archive(entries, run_id), request.headers, "application/x-tar", f"{run_id}-{part.value}.tar")


@router.get("/{part}/files")
def list_download_files(coordinator: Coordinator, run_id: str, part: Part) -> Page[DownloadFile]:
    """The files of a part with their SHA-256. The first call reads them all, a gigabyte or two a second."""
    found = coordinator.files.listed(_folder(coordinator, run_id), part)
    return paged(found, len(found), [one.name for one in found])


@router.get("/{part}/files/{name:path}", response_class=StreamingResponse, responses=OTHERWISE)
def download_file(coordinator: Coordinator, request: Request, run_id: str, part: Part, name: FileName) -> Response:
    """One file of a part, as `download_archive` sends the whole."""
    entry = coordinator.files.entry(_folder(coordinator, run_id), part, name)
    return ranged(plain(entry), request.headers, "application/octet-stream", f"{run_id}-{Path(name).name}")


def _folder(context: Context, run_id: str) -> Path:
    """The run's folder. Raises NotFound for a run that does not exist."""
    with context.store.reading() as tx:
        return context.folders.path(tx.runs.get(run_id).id)
