"""Publish: write what the run leaves behind: policy, PRM, CoT data set, PRM data set, cards, results and report."""

from typing import Literal

from mstar.steps import DoneResult, Queue, Stage, StepParams


class PublishParams(StepParams):
    """The steps whose outputs are published. They go to the run's folder, so there is no artefact."""

    kind: Literal["publish"] = "publish"
    policy: str
    prm: str | None
    selections: tuple[str, ...]
    collected: str | None
    evaluations: tuple[str, ...]


PUBLISH = Stage(PublishParams, DoneResult, Queue.CONTROL, artefact=False, shown=True)
