"""`/docs` and `/redoc` with scripts from this machine, so that they work without the internet.

The scripts come from the package fastapi-offline; only its files are used.
"""

import base64
import hashlib
import re
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from mstar_web.openapi import DOCUMENT_PATH

FILES_PATH = "/docs/files"


def add_docs(app: FastAPI) -> None:
    """Add both pages and their files to an app that was made without FastAPI's own."""

    # Routes come before the mount, which would take everything below /docs/files.
    @app.get("/docs", include_in_schema=False)
    async def swagger() -> HTMLResponse:
        return _with_policy(
            get_swagger_ui_html(
                openapi_url=DOCUMENT_PATH,
                title=f"{app.title}: API",
                swagger_js_url=f"{FILES_PATH}/swagger-ui-bundle.js",
                swagger_css_url=f"{FILES_PATH}/swagger-ui.css",
                swagger_favicon_url=f"{FILES_PATH}/favicon.png",
            )
        )

    @app.get("/redoc", include_in_schema=False)
    async def redoc() -> HTMLResponse:
        return _with_policy(
            get_redoc_html(
                openapi_url=DOCUMENT_PATH,
                title=f"{app.title}: API",
                redoc_js_url=f"{FILES_PATH}/redoc.standalone.js",
                redoc_favicon_url=f"{FILES_PATH}/favicon.png",
                with_google_fonts=False,
            )
        )

    files = Path(fastapi_offline.__file__).parent / "static"
    app.mount(FILES_PATH, StaticFiles(directory=files), name="docs")


def _with_policy(page: HTMLResponse) -> HTMLResponse:
    """The page with a policy that runs our files and the script in it, which is named by its hash, and nothing else."""
    inline = re.findall(rb"<script>(.*?)</script>", bytes(page.body), re.DOTALL)
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(one).digest()).decode()}'" for one in inline)
    page.headers["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "connect-src 'self'; worker-src blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    )
    return page
