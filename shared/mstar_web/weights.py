"""`/v1/weights` of the inference services: what is loaded, and loading a checkpoint artefact."""

import asyncio
from typing import Protocol

from fastapi import APIRouter

from mstar.api.policy import WeightsState, WeightsUpdate
from mstar.errors import Conflict
from mstar.steps import ArtefactRef


class WeightHolder(Protocol):
    """The part of an engine that these routes need."""

    def weights(self) -> WeightsState:
        """What is loaded now."""

    async def load(self, ref: ArtefactRef) -> None:
        """Verify and load a checkpoint; on an error the old weights keep serving."""


def weights_router(holder: WeightHolder) -> APIRouter:
    """Routes GET and PUT /v1/weights.

    A load runs alone: an update to another version meanwhile is a 409, one to the same version waits for it. A version
    that is loaded already is not loaded again.
    """
    router = APIRouter(prefix="/v1/weights", tags=["weights"])
    one_load = asyncio.Lock()
    loading: list[str] = []

    @router.get("")
    async def read_weights() -> WeightsState:
        """The loaded weight version, and whether it serves."""
        return holder.weights()

    @router.put("")
    async def update_weights(update: WeightsUpdate) -> WeightsState:
        """Load a checkpoint artefact by id and manifest hash; replies when it serves."""
        ref = ArtefactRef(id=update.artefact, sha256=update.manifest_sha256)
        if loading and loading[0] != ref.version:
            raise Conflict(f"weights {loading[0]} are being loaded: try again when that is done", retry_after=1.0)
        async with one_load:
            state = holder.weights()
            if not (state.ready and state.weight_version == ref.version):
                loading[:] = [ref.version]
                try:
                    await holder.load(ref)
                finally:
                    loading.clear()
        return holder.weights()

    return router
