"""Publish: write what the run leaves behind: policy, PRM, CoT data set, PRM data set, cards, results and report."""

from typing import Literal

from mstar.stages.generate import GENERATE
from mstar.step_names import shard_of, sibling
from mstar.steps import DoneResult, Queue, Stage, StepParams

PUBLISHED = {
    "policy": "policy",
    "prm": "prm",
    "cot_dataset": "cot_dataset",
    "prm_dataset": "prm_dataset",
    "report": "report.html",
}
"""What a run leaves behind, by its name in the results: folders and files below the run's folder."""


class PublishParams(StepParams):
    """The steps whose outputs are published. They go to the run's folder, so there is no artefact."""

    kind: Literal["publish"] = "publish"
    policy: str
    prm: str | None
    selections: tuple[str, ...]
    collected: str | None
    evaluations: tuple[str, ...]

    @property
    def places(self) -> tuple[str, ...]:
        """Where in the run's folder something is to stand afterwards."""
        left_out = {"prm": self.prm, "prm_dataset": self.prm and self.collected}
        return tuple(place for name, place in PUBLISHED.items() if left_out.get(name, name) is not None)

    @property
    def shown(self) -> tuple[str, ...]:
        """Selections that the report shows samples of: the first shard of the first and of the last iteration."""
        first_shards = [name for name in self.selections if shard_of(name) == 0]
        return tuple(dict.fromkeys((*first_shards[:1], *first_shards[-1:])))

    @property
    def sampled(self) -> tuple[str, ...]:
        """The rollout steps of those selections, which are read beside the steps named above."""
        return tuple(sibling(name, GENERATE.kind) for name in self.shown)


PUBLISH = Stage(PublishParams, DoneResult, Queue.CONTROL, artefact=False, shown=True)
