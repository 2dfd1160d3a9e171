"""`/v1/weights` and `/v1/power` of the inference services: what is loaded, loading a checkpoint, sleep.

A service sleeps while another has the turn on a device that they share. What this leaves out: whose turn it is.
"""

from fastapi import APIRouter

from mstar.api.policy import Power, WeightsState, WeightsUpdate
from mstar.gpu_memory import LatestGpuMemory, ReadGpuMemory
from mstar.steps import ArtefactRef
from mstar_web.auth import allow
from mstar_web.bodies import JsonRoute
from mstar_web.loads import Loads

WEIGHTS_RULES = (
    allow("/v1/weights", "weights_admin", methods=["PUT"]),
    allow("/v1/weights", "weights_admin", "internal"),
    allow("/v1/power", "internal"),
)
"""Who may change weights, who may see what is loaded, and who may send a service to sleep."""


def weights_router(loads: Loads, gpu_memory: ReadGpuMemory | None = None) -> APIRouter:
    """Routes GET and PUT /v1/weights, GET and PUT /v1/power.

    A load runs alone: an update to another version meanwhile is a 409, one to the same version waits for it. A version
    that is loaded already is not loaded again. While the service sleeps a load is a 503, so that none takes memory that
    another uses. `gpu_memory` is asked for each answer and never waits; None: what `nvidia-smi` tells.
    """
    latest = gpu_memory or LatestGpuMemory()
    router = APIRouter(prefix="/v1", tags=["weights"], route_class=JsonRoute)

    @router.get("/weights")
    async def read_weights() -> WeightsState:
        """The loaded weight version, and whether it serves."""
        return loads.weights().model_copy(update={"gpu_memory": latest()})

    @router.get("/power")
    async def read_power() -> Power:
        """Whether memory is held, or may be at any time."""
        return Power(awake=loads.awake)

    @router.put("/power")
    async def update_power(update: Power) -> Power:
        """Sleep, or be ready to load again; replies when it is done."""
        await loads.set_awake(update.awake)
        return Power(awake=loads.awake)

    @router.put("/weights")
    async def update_weights(update: WeightsUpdate) -> WeightsState:
        """Load a checkpoint artefact by id and manifest hash; replies when it serves."""
        return await loads.update(ArtefactRef(id=update.artefact, sha256=update.manifest_sha256))

    return router
