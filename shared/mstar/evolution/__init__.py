"""A run as a state machine (`states`) and as a graph of steps (`graph`), over the split of its questions (`sharding`).

Nothing here knows a queue, a clock or a database; which steps are due is the store's to say.
"""

from mstar.evolution.graph import graph, reads
from mstar.evolution.sharding import UNLABELLED, iteration_shards, sweep_precedes
from mstar.evolution.states import RunEvent, RunState, transition

__all__ = [
    "UNLABELLED",
    "RunEvent",
    "RunState",
    "graph",
    "iteration_shards",
    "reads",
    "sweep_precedes",
    "transition",
]
