"""The rule by which policy, PRM and trainer take turns on GPUs that they share: facts → decision, no clock, no memory.

A run alternates between sampling, scoring and training, so on shared GPUs one of them at a time has pods. The holder
keeps its turn while it has work; then its pods end, and only when they are gone do the next one's begin. Reading the
facts and acting on the decision is `gpu_turns`' part.
"""

from collections.abc import Mapping

from mstar.steps import Queue
from mstar_coordinator.cluster.interface import TURNS, GpuTurn, Pods


def next_turn(demand: Mapping[Queue, int], pods: Mapping[Queue, Pods], *, active: bool) -> GpuTurn:
    """Decide from the steps that are due or under way for each queue, and from the pods that are there.

    `active`: a run is going on, so that pods without work are kept until another needs the GPUs.
    """
    wanted = _wanted(demand, pods, active)
    # Pods that are ending still hold their GPUs, so the next ones wait until they are gone.
    if wanted is None or any(pods[queue].there for queue in TURNS if queue is not wanted):
        return GpuTurn(None, opened=False)
    return GpuTurn(wanted, opened=pods[wanted].asked and pods[wanted].ready >= pods[wanted].wanted)


def held_up_by(turn: GpuTurn, demand: Mapping[Queue, int], pods: Mapping[Queue, Pods]) -> tuple[Queue, ...]:
    """Whose pods keep the work waiting: the holder's that are not ready, or those that must go first; none at work."""
    if turn.opened or not any(demand.get(queue) for queue in TURNS):
        return ()
    return tuple(queue for queue in TURNS if pods[queue].there) if turn.holder is None else (turn.holder,)


def _wanted(demand: Mapping[Queue, int], pods: Mapping[Queue, Pods], active: bool) -> Queue | None:
    asked = [queue for queue in TURNS if pods[queue].asked]
    # Whoever has pods and work goes before whoever has work only, or GPUs would change hands at every step.
    busy = next((queue for queue in asked if demand.get(queue)), None)
    needed = next((queue for queue in TURNS if demand.get(queue)), None)
    idle = asked[0] if asked and active else None
    return busy or needed or idle
