"""What `results.json` and `mstar run show --json` hold: the run as numbers."""

from typing import Any

from mstar.data_check import DataCheck
from mstar.evolution import RunState
from mstar.marks import Marks
from mstar.outcomes import Outcomes
from mstar.ranking_quality import Ranking
from mstar.recipes import Recipe
from mstar.stages.evaluate import Accuracy, OnValidation
from mstar.types import Frozen


class IterationResult(Frozen):
    """One iteration: how it sampled, what it kept, and how good the policy is after it."""

    index: int
    temperature: float
    greedy: float | None = None
    """Greedy accuracy on test-ID after the iteration; None until evaluated. Likewise below."""
    ood: float | None = None
    by_task: dict[str, float] = {}
    sets: dict[str, float] = {}
    """Greedy accuracy on the further tests of `evaluation.sets`."""
    groups: dict[str, dict[str, float]] = {}
    """Greedy accuracy on each test by name, by task group."""
    pass_at_k: float | None = None
    reward_pass_at_2: float | None = None
    headroom: float | None = None
    """Pass@K minus greedy accuracy, both on validation."""
    validation: OnValidation | None = None
    sampled_accuracy: float
    questions: int
    responses: int
    kept: int
    weight_version: str
    """Version that the iteration sampled from."""
    seconds: float | None = None
    losses: tuple[float, ...] = ()
    sound_among_kept: float | None = None
    sound_among_random: float | None = None
    sound_at_best: float | None = None
    ranking: Ranking = Ranking()
    """Sound above unsound among the responses that the selection compared, where the data set knows which are sound."""


class SweepResult(Frozen):
    """One temperature sweep and what the controller chose."""

    iteration: int
    curve: dict[str, float]
    """The measured metric at each temperature."""
    chosen: float
    fitted: dict[str, float] = {}
    """The smooth curve, where `exploration.estimator` is `fit`."""
    probability: float | None = None
    """That the highest point of the smooth curve is better than the temperature before the sweep."""
    pass_at_k: dict[str, float] = {}
    """Pass@`passes` at each temperature, of the policy after the iteration before."""
    passes: int = 1


class Milestone(Accuracy):
    """Accuracy of base, warm-up or final policy, with the sampled metrics on validation."""

    pass_at_k: float | None = None
    reward_pass_at_2: float | None = None
    headroom: float | None = None
    validation: OnValidation | None = None


class Quarantined(Frozen):
    """A question that the run is done without, since it ended every worker that worked on it."""

    question: str
    step: str
    """Step at which that was found out."""
    reason: str


class Unscored(Frozen):
    """Responses of a phase that were sent to the PRM and have no score, such as those longer than its context."""

    responses: int
    questions: tuple[str, ...]
    """Ids of the first questions."""


class RunResults(Frozen):
    """Everything that a run measured so far."""

    id: str
    name: str
    state: RunState
    error: str | None = None
    recipe: Recipe
    iterations: tuple[IterationResult, ...] = ()
    sweeps: tuple[SweepResult, ...] = ()
    test: dict[str, Milestone] = {}
    """By base, warmup and final."""
    prm: dict[str, Any] = {}
    """How the PRM was made: solutions, prefixes, completions, losses."""
    marks: dict[str, dict[str, Marks]] = {}
    """By policy (`base`, `warmup`, `it01`) and test: which questions it answers right greedily."""
    data: DataCheck | None = None
    """What the check of the data set found; None before the first step has ended, and for the benchmark that ships."""
    untried: tuple[str, ...] = ()
    """Types of the run's models that were never tried with M-STaR: their numbers may be wrong."""
    quarantined: tuple[Quarantined, ...] = ()
    outcomes: dict[str, Outcomes] = {}
    """What became of the responses of warm-up and of each iteration (`warmup`, `it01`), once they are selected from."""
    unscored: dict[str, Unscored] = {}
    """By phase (`it01`, `eval/it01`), where the PRM did not take every response."""
    artefacts: dict[str, str] = {}
    """Folders below the run's folder: policy, prm, cot_dataset, prm_dataset, report."""
    seconds: float | None = None
