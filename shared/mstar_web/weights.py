"""`/v1/weights` and `/v1/power` of the inference services: what is loaded, loading a checkpoint, sleep.

A service sleeps while another has the turn on a device that they share. What this leaves out: whose turn it is.
"""

import asyncio
from typing import Protocol

import structlog
from fastapi import APIRouter

from mstar.api.policy import Power, WeightsState, WeightsUpdate
from mstar.errors import Conflict, Unavailable
from mstar.steps import ArtefactRef
from mstar_web.auth import allow
from mstar_web.bodies import JsonRoute

ASLEEP_SECONDS = 30.0
WEIGHTS_RULES = (
    allow("/v1/weights", "weights_admin", methods=["PUT"]),
    allow("/v1/weights", "weights_admin", "internal"),
    allow("/v1/power", "internal"),
)
"""Who may change weights, who may see what is loaded, and who may send a service to sleep."""

_log = structlog.get_logger(__name__)


class WeightHolder(Protocol):
    """The part of an engine that these routes need."""

    def weights(self) -> WeightsState:
        """What is loaded now."""

    async def load(self, ref: ArtefactRef) -> None:
        """Verify and load a checkpoint.

        On an error the old weights keep serving; where the new ones fail their probe none are loaded.
        """

    async def sleep(self) -> None:
        """Finish what runs, forget the weights and give the device's memory back. A load ends the sleep."""


def weights_router(holder: WeightHolder) -> APIRouter:
    """Routes GET and PUT /v1/weights, GET and PUT /v1/power.

    A load runs alone: an update to another version meanwhile is a 409, one to the same version waits for it. A version
    that is loaded already is not loaded again. While the service sleeps a load is a 503, so that none takes memory that
    another uses.
    """
    router = APIRouter(prefix="/v1", tags=["weights"], route_class=JsonRoute)
    one_load = asyncio.Lock()
    loading: list[str] = []
    awake = True

    @router.get("/weights")
    async def read_weights() -> WeightsState:
        """The loaded weight version, and whether it serves."""
        return holder.weights()

    @router.get("/power")
    async def read_power() -> Power:
        """Whether memory is held, or may be at any time."""
        return Power(awake=awake)

    @router.put("/power")
    async def update_power(update: Power) -> Power:
        """Sleep, or be ready to load again; replies when it is done."""
        nonlocal awake
        async with one_load:
            if awake is not update.awake:
                if not update.awake:
                    await holder.sleep()
                awake = update.awake
                _log.info("power", awake=awake)
        return Power(awake=awake)

    @router.put("/weights")
    async def update_weights(update: WeightsUpdate) -> WeightsState:
        """Load a checkpoint artefact by id and manifest hash; replies when it serves."""
        ref = ArtefactRef(id=update.artefact, sha256=update.manifest_sha256)
        # Refused before the lock: whoever waits for it would replace weights that nobody has used yet.
        if loading and loading[0] != ref.version:
            raise Conflict(f"weights {loading[0]} are being loaded: try again when that is done", retry_after=1.0)
        async with one_load:
            # Asked under the lock: a sleep that was asked for before this load may only just have ended.
            if not awake:
                raise Unavailable("the service sleeps while another has the device", retry_after=ASLEEP_SECONDS)
            loaded = holder.weights()
            if not (loaded.ready and loaded.weight_version == ref.version):
                loading[:] = [ref.version]
                try:
                    await holder.load(ref)
                finally:
                    loading.clear()
        return holder.weights()

    return router
