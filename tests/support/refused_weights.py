"""Requests for weights that no inference service may load, as policy and PRM alike must refuse them."""

from pathlib import Path

import httpx2
from fastapi import FastAPI

from mstar.steps import ArtefactRef
from mstar_artefacts.store import ArtefactStore
from mstar_models.probing import FILE, FOLDER
from web_bench import talk


def check_refused_weights(app: FastAPI, store: ArtefactStore, good: ArtefactRef) -> None:
    """Load a good checkpoint; each bad request then names what is wrong with it, and the good weights stay."""
    rows = store.write("r1/it01/select", lambda folder: (folder / "rows.jsonl").write_text("{}") and None, {})

    def strange(folder: Path) -> None:
        (folder / FOLDER).mkdir()
        (folder / FOLDER / FILE).write_text('{"of": "another version"}')

    unread = store.write("r1/it02/train", strange, {})
    cases = [
        (good.id, "0" * 64, 422, "manifest_sha256"),
        ("r9/none", "0" * 64, 404, None),
        (rows.id, rows.sha256, 422, "model"),
        (unread.id, unread.sha256, 422, "artefact"),
        ("../secret", "0" * 64, 422, "artefact"),
        (good.id, "A" * 64, 422, "manifest_sha256"),
    ]

    async def conversation(client: httpx2.AsyncClient) -> None:
        update = {"artefact": good.id, "manifest_sha256": good.sha256}
        assert (await client.put("/v1/weights", json=update)).json()["weight_version"] == good.version
        for artefact, digest, status, field in cases:
            bad = await client.put("/v1/weights", json={"artefact": artefact, "manifest_sha256": digest})
            assert (bad.status_code, bad.json().get("field")) == (status, field), bad.text
            assert (await client.get("/v1/weights")).json()["weight_version"] == good.version

    talk(app, conversation)
