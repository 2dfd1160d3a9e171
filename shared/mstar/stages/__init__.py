"""The stages of the loop, one file each. A new one is a file here, a line in `STAGES`, and its place in `evolution`.

What the coordinator, its workers and the wire need to know of a kind of step follows from its declaration: the unions
of parameters and results below, the queue, what a commit must bring, what the run's numbers are made of. A stage's work
is done by the module of the same name in `mstar_coordinator/worker/steps`.
"""

from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, Union

from pydantic import Field

from mstar.stages.choose import CHOOSE
from mstar.stages.collect import COLLECT
from mstar.stages.evaluate import EVALUATE
from mstar.stages.fetch import FETCH
from mstar.stages.generate import GENERATE
from mstar.stages.label import LABEL
from mstar.stages.measure import MEASURE
from mstar.stages.prepare import PREPARE
from mstar.stages.publish import PUBLISH
from mstar.stages.score import SCORE
from mstar.stages.select import SELECT
from mstar.stages.train import TRAIN
from mstar.steps import Queue, Stage, StepParams, StepResult
from mstar.types import Frozen

STAGES: dict[str, Stage[Any, Any]] = {
    stage.kind: stage
    for stage in (PREPARE, FETCH, GENERATE, SCORE, LABEL, COLLECT, SELECT, TRAIN, CHOOSE, EVALUATE, MEASURE, PUBLISH)
}
"""Every kind of step by its name."""
SHOWN_KINDS = tuple(kind for kind, stage in STAGES.items() if stage.shown)
"""Kinds whose results a run's numbers are made of."""

if TYPE_CHECKING:
    # A type checker cannot read a union that is computed; to it, every kind is its base.
    AnyParams: TypeAlias = StepParams
    AnyResult: TypeAlias = StepResult
else:
    AnyParams = Annotated[
        Union[tuple(stage.params for stage in STAGES.values())],  # noqa: UP007
        Field(discriminator="kind"),
    ]
    AnyResult = Annotated[
        # Several kinds share DoneResult, and a discriminated union takes each class once.
        Union[tuple(dict.fromkeys(stage.result for stage in STAGES.values()))],  # noqa: UP007
        Field(discriminator="kind"),
    ]


class StepSpec(Frozen):
    """One node of a run's graph."""

    name: str
    params: AnyParams
    needs: tuple[str, ...] = ()
    """Names of steps that must be committed before."""
    streams: tuple[str, ...] = ()
    """Names of steps whose outputs may still arrive while this one runs. A coordinator that does not stream takes them
    for needs."""

    @property
    def declaration(self) -> Stage[Any, Any]:
        """What holds for all steps of its kind."""
        return STAGES[self.params.kind]

    @property
    def queue(self) -> Queue:
        """Where its worker waits."""
        return self.declaration.queue_of(self.params)
