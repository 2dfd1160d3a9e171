"""A run as a state machine and a graph of steps: state + event → next state, steps done → steps due.

The graph is data. It says for every arm of the paper what follows what; streaming inside an iteration falls out of it,
because a selection shard needs only its own rollout shard, and training begins with the first of them. Nothing here
knows a queue, a clock or a database.
"""

from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum

from mstar.errors import IllegalTransition
from mstar.recipes import ExplorationMode, InitFrom, OptimizerState, Recipe, SelectionMode, SelectionRecipe, TrainRecipe
from mstar.scoring import ScoreUse
from mstar.steps import (
    ChooseParams,
    CollectParams,
    Draw,
    EvaluateParams,
    GenerateParams,
    LabelParams,
    PrepareParams,
    PublishParams,
    ScoreParams,
    SelectParams,
    StepSpec,
    TrainParams,
)


class RunState(StrEnum):
    """States of a run."""

    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunEvent(StrEnum):
    """What can happen to a run."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    EXTEND = "extend"
    """One more iteration was asked for."""
    STEPS_DONE = "steps-done"
    STEP_FAILED = "step-failed"


_TRANSITIONS = {
    (RunState.RUNNING, RunEvent.PAUSE): RunState.PAUSED,
    (RunState.RUNNING, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.RUNNING, RunEvent.EXTEND): RunState.RUNNING,
    (RunState.RUNNING, RunEvent.STEPS_DONE): RunState.SUCCEEDED,
    (RunState.RUNNING, RunEvent.STEP_FAILED): RunState.FAILED,
    (RunState.PAUSED, RunEvent.RESUME): RunState.RUNNING,
    (RunState.PAUSED, RunEvent.CANCEL): RunState.CANCELLED,
    (RunState.PAUSED, RunEvent.EXTEND): RunState.PAUSED,
    (RunState.SUCCEEDED, RunEvent.EXTEND): RunState.RUNNING,
    (RunState.FAILED, RunEvent.RESUME): RunState.RUNNING,
    (RunState.FAILED, RunEvent.CANCEL): RunState.CANCELLED,
}


def transition(state: RunState, event: RunEvent) -> RunState:
    """The state after an event. Raises IllegalTransition where the table has no entry."""
    try:
        return _TRANSITIONS[state, event]
    except KeyError:
        allowed = sorted(e.value for s, e in _TRANSITIONS if s is state)
        raise IllegalTransition(
            f"cannot {event.value} a run that is {state.value}; possible now: {', '.join(allowed) or 'nothing'}"
        ) from None


def graph(recipe: Recipe, iterations: int) -> tuple[StepSpec, ...]:
    """All steps of a run of so many iterations, in the order in which they are worth doing.

    A longer graph contains the shorter one but for `publish`, whose name holds the iteration count, so a run can be
    extended at any time.
    """
    return tuple(_Graph(recipe).build(iterations))


def due(steps: Collection[StepSpec], done: Collection[str]) -> list[StepSpec]:
    """Steps that are not done and whose needs all are; nothing streams here."""
    return [step for step in steps if step.name not in done and all(n in done for n in (*step.needs, *step.streams))]


def sweep_precedes(recipe: Recipe, iteration: int) -> bool:
    """Whether a temperature sweep comes before this iteration (1-based)."""
    plan = recipe.exploration
    if plan.mode is ExplorationMode.FIXED or iteration < plan.start:
        return False
    return (iteration - plan.start) % plan.every == 0


class _Graph:
    """Builds the step graph of one recipe; each method yields the steps of one phase."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.first_policy = "warmup/train" if recipe.warmup else "prepare"
        self.prm = "reward/train" if recipe.prm else None
        self.choose: str | None = None
        self.evaluations: list[str] = []

    def build(self, iterations: int) -> Iterator[StepSpec]:
        yield StepSpec(name="prepare", params=PrepareParams())
        yield from self.evaluation("base", "prepare")
        if self.recipe.warmup:
            yield from self.warmup()
            yield from self.evaluation("warmup", self.first_policy)
        if self.recipe.prm:
            yield from self.reward_model()
        for iteration in range(1, iterations + 1):
            yield from self.iteration(iteration)
        yield self.publish(iterations)

    def warmup(self) -> Iterator[StepSpec]:
        """Rationales for known answers, then SFT on the right ones."""
        plan = self.recipe.warmup
        assert plan is not None
        rows = []
        for shard, start, count in self.shards(plan.questions):
            rows.append(f"warmup/generate/{shard:04d}")
            params = GenerateParams(
                purpose="warmup",
                split="train",
                start=start,
                count=count,
                draws=(Draw(n=plan.n, temperature=plan.temperature),),
                with_reference=True,
                weights="prepare",
            )
            yield StepSpec(name=rows[-1], params=params, needs=("prepare",))
        rule = SelectionRecipe(mode=SelectionMode.RANDOM, k=plan.keep_per_question)
        selected = [self.select(0, name, rule) for name in rows]
        yield from selected
        yield self.train("warmup", 0, selected, "prepare", plan.train, carry_optimizer=False)

    def reward_model(self) -> Iterator[StepSpec]:
        """Solutions of the first policy, Monte-Carlo labels for each step, and PRM training (paper, section 3)."""
        plan = self.recipe.prm
        assert plan is not None
        labels = []
        for shard, start, count in self.shards(plan.questions):
            sample, label = f"reward/sample/{shard:04d}", f"reward/label/{shard:04d}"
            labels.append(label)
            params = GenerateParams(
                purpose="prm",
                split="train",
                start=start,
                count=count,
                draws=(Draw(n=plan.n, temperature=plan.temperature),),
                weights=self.first_policy,
            )
            yield StepSpec(name=sample, params=params, needs=(self.first_policy, *self.predecessors("warmup")))
            yield StepSpec(
                name=label,
                params=LabelParams(
                    rows=sample,
                    weights=self.first_policy,
                    completions=plan.completions,
                    temperature=plan.temperature,
                    max_steps=plan.max_steps,
                ),
                needs=(self.first_policy, sample),
            )
        collect = CollectParams(rows=tuple(labels), label=plan.label, balance=plan.balance)
        yield StepSpec(name="reward/collect", params=collect, needs=tuple(labels))
        train = TrainParams(
            objective="prm",
            iteration=0,
            data=("reward/collect",),
            parent="prepare",
            carry_optimizer=False,
            settings=plan.train,
        )
        yield StepSpec(name="reward/train", params=train, needs=("prepare", "reward/collect"))

    def iteration(self, number: int) -> Iterator[StepSpec]:
        """Sweep if due; rollouts, selection and training shard by shard; evaluation."""
        plan = self.recipe.evolution
        weights = self.policy_after(number - 1)
        if sweep_precedes(self.recipe, number):
            yield from self.sweep(number, weights)
        chosen = (self.choose,) if self.choose else ()
        selected: list[StepSpec] = []
        for shard, start, count in self.shards(plan.questions):
            rows = f"it{number:02d}/generate/{shard:04d}"
            params = GenerateParams(
                purpose=f"it{number:02d}",
                split="train",
                start=(number - 1) * plan.questions + start,
                count=count,
                draws=(Draw(n=plan.n, temperature=None if self.choose else plan.temperature),),
                weights=weights,
                choose=self.choose,
            )
            yield StepSpec(name=rows, params=params, needs=self.prerequisites(number) + chosen)
            selected.append(self.select(number, rows, plan.selection))
            yield selected[-1]
        name = f"it{number:02d}"
        parent = weights if plan.init is InitFrom.LAST else self.first_policy
        carried = plan.optimizer is OptimizerState.CARRIED
        yield self.train(name, number, selected, parent, plan.train, carry_optimizer=carried)
        yield from self.evaluation(name, f"{name}/train")

    def sweep(self, number: int, weights: str) -> Iterator[StepSpec]:
        """Question-major: a shard holds every temperature of its questions, so their prefix is computed once."""
        plan = self.recipe.exploration
        rows, scores = [], []
        for shard, start, count in self.shards(plan.questions):
            rows.append(f"it{number:02d}/sweep/generate/{shard:04d}")
            params = GenerateParams(
                purpose=f"sweep{number:02d}",
                split="validation",
                start=start,
                count=count,
                draws=tuple(Draw(n=plan.n, temperature=t) for t in plan.grid),
                weights=weights,
            )
            yield StepSpec(name=rows[-1], params=params, needs=self.prerequisites(number))
            if plan.mode is ExplorationMode.REWARD_PASS:
                scores.append(f"it{number:02d}/sweep/score/{shard:04d}")
                yield self.score(scores[-1], rows[-1], ScoreUse.RANKING, plan.k)
        previous, self.choose = self.choose, f"it{number:02d}/sweep/choose"
        choose = ChooseParams(
            iteration=number,
            mode=plan.mode,
            grid=plan.grid,
            k=plan.k,
            current=self.recipe.evolution.temperature,
            previous=previous,
            rows=tuple(rows),
            scores=tuple(scores),
        )
        needs = (*rows, *scores, *((previous,) if previous else ()))
        yield StepSpec(name=self.choose, params=choose, needs=needs)

    def evaluation(self, label: str, weights: str) -> Iterator[StepSpec]:
        """Greedy on both tests, n samples on validation, scored once there is a PRM."""
        plan = self.recipe.evaluation
        greedy: list[str] = []
        sampled: list[str] = []
        scores: list[str] = []
        needs = (weights, *self.predecessors(label))
        for name, split, start, count in self.evaluation_shards(label):
            on_validation = split == "validation"
            draw = Draw(n=plan.n, temperature=plan.temperature) if on_validation else Draw(n=1, temperature=0.0)
            params = GenerateParams(
                purpose="eval", split=split, start=start, count=count, draws=(draw,), weights=weights
            )
            yield StepSpec(name=name, params=params, needs=needs)
            (sampled if on_validation else greedy).append(name)
            if on_validation and self.prm:
                scores.append(name.replace("validation", "score"))
                # Best-of-n looks at the one response that is ranked first.
                yield self.score(scores[-1], name, ScoreUse.RANKING, 1)
        self.evaluations.append(f"eval/{label}/evaluate")
        params_ = EvaluateParams(
            label=label, greedy=tuple(greedy), sampled=tuple(sampled), scores=tuple(scores), k=plan.k
        )
        yield StepSpec(name=self.evaluations[-1], params=params_, needs=(*greedy, *sampled, *scores))

    def publish(self, iterations: int) -> StepSpec:
        """What the run leaves behind (METHOD: the four resources)."""
        selections = tuple(
            f"it{i:02d}/select/{shard:04d}"
            for i in range(1, iterations + 1)
            for shard, *_ in self.shards(self.recipe.evolution.questions)
        )
        params = PublishParams(
            policy=self.policy_after(iterations),
            prm=self.prm,
            selections=selections,
            collected="reward/collect" if self.prm else None,
            evaluations=tuple(self.evaluations),
        )
        made = (params.policy, *((self.prm, "reward/collect") if self.prm else ()), *selections)
        return StepSpec(name=f"publish/{iterations:02d}", params=params, needs=(*made, *self.evaluations))

    def score(self, name: str, rows: str, use: ScoreUse, k: int | None) -> StepSpec:
        assert self.prm is not None and self.recipe.prm is not None
        params = ScoreParams(rows=rows, prm=self.prm, use=use, k=k, savings=self.recipe.prm.savings)
        return StepSpec(name=name, params=params, needs=(self.prm, rows))

    def select(self, iteration: int, rows: str, rule: SelectionRecipe) -> StepSpec:
        """The choice among a shard's responses, which asks the PRM where the rule ranks."""
        prm = self.prm if rule.mode in (SelectionMode.TOP, SelectionMode.THRESHOLD) else None
        savings = self.recipe.prm.savings if self.recipe.prm else True
        params = SelectParams(iteration=iteration, rows=rows, prm=prm, savings=savings, rule=rule)
        needs = (rows, prm) if prm else (rows,)
        return StepSpec(name=rows.replace("/generate/", "/select/"), params=params, needs=needs)

    def train(
        self,
        stage: str,
        iteration: int,
        selected: Sequence[StepSpec],
        parent: str,
        settings: TrainRecipe,
        *,
        carry_optimizer: bool,
    ) -> StepSpec:
        """Training on selected shards, which may begin with the first of them."""
        data = tuple(step.name for step in selected)
        params = TrainParams(
            objective="sft",
            iteration=iteration,
            data=data,
            parent=parent,
            carry_optimizer=carry_optimizer,
            settings=settings,
        )
        return StepSpec(name=f"{stage}/train", params=params, needs=(parent, data[0]), streams=data[1:])

    def prerequisites(self, number: int) -> tuple[str, ...]:
        """What comes before any sampling of an iteration: its weights, the PRM, and what samples older weights."""
        weights = self.policy_after(number - 1)
        prm = (self.prm,) if self.prm else ()
        return (weights, *prm, *self.predecessors(self.label_after(number - 1)))

    def predecessors(self, label: str) -> tuple[str, ...]:
        """Evaluation shards of the version before this one.

        The policy serves one version at a time, so what samples an old one comes before what samples the next.
        """
        if label == "base":
            return ()
        before = "base" if label == "warmup" else self.label_after(int(label.removeprefix("it")) - 1)
        return tuple(name for name, *_ in self.evaluation_shards(before))

    def policy_after(self, iteration: int) -> str:
        return f"it{iteration:02d}/train" if iteration else self.first_policy

    def label_after(self, iteration: int) -> str:
        if iteration:
            return f"it{iteration:02d}"
        return "warmup" if self.recipe.warmup else "base"

    def evaluation_shards(self, label: str) -> list[tuple[str, str, int, int]]:
        """(step name, split, first place, count) of all sampling that one evaluation does."""
        data = self.recipe.data
        sizes = (("test_id", data.test_id), ("test_ood", data.test_ood), ("validation", data.validation))
        return [
            (f"eval/{label}/{split}/{shard:04d}", split, start, count)
            for split, size in sizes
            for shard, start, count in self.shards(size, greedy=split != "validation")
        ]

    def shards(self, questions: int, *, greedy: bool = False) -> list[tuple[int, int, int]]:
        """(shard, first place, count); greedy shards are larger, since each question gives one response only."""
        size = self.recipe.generation.shard_questions * (8 if greedy else 1)
        return [(i, start, min(size, questions - start)) for i, start in enumerate(range(0, questions, size))]
