"""A run as a graph of steps, for every arm of the paper.

The graph is data: it says what needs what. Streaming inside an iteration follows from it, because a selection shard
needs only its own rollout shard, and training begins with the first of them.
"""

from collections.abc import Iterator, Sequence

from mstar.evolution.measuring import measuring_graph
from mstar.evolution.sharding import (
    UNLABELLED,
    Draws,
    evaluation_shards,
    iteration_shards,
    rollout_shards,
    sweep_precedes,
)
from mstar.recipes import ExplorationMode, InitFrom, PrmRecipe, Recipe, WarmupRecipe
from mstar.selection_rules import SelectionMode, SelectionRecipe
from mstar.stages import StepSpec
from mstar.stages.choose import ChooseParams
from mstar.stages.collect import CollectParams
from mstar.stages.evaluate import EvaluateParams
from mstar.stages.fetch import FetchParams
from mstar.stages.generate import GenerateParams, Sampling
from mstar.stages.label import LabelParams
from mstar.stages.prepare import PrepareParams
from mstar.stages.publish import PublishParams
from mstar.stages.score import ScoreParams
from mstar.stages.select import SelectParams
from mstar.stages.train import TrainParams
from mstar.step_names import (
    BASE,
    COLLECT,
    FETCH,
    PREPARE,
    REWARD,
    WARMUP,
    choose_step,
    evaluation_step,
    iteration_of,
    iteration_phase,
    publish_step,
    sibling,
    step_name,
    train_step,
)


def graph(recipe: Recipe, iterations: int) -> tuple[StepSpec, ...]:
    """All steps of a run of this many iterations, in the order in which they are worth doing.

    A longer graph contains the shorter one but for `publish`, whose name holds the iteration count, so a run can be
    extended at any time. An evaluation has no iterations.
    """
    if recipe.measure is not None:
        return tuple(measuring_graph(recipe, recipe.measure))
    return tuple(_Graph(recipe).build(iterations))


def reads(step: StepSpec) -> tuple[str, ...]:
    """Names of the steps whose outputs a step reads: those that it waits for, and what comes along with every claim."""
    sampled = step.params.sampled if isinstance(step.params, PublishParams) else ()
    prepared = () if step.name == PREPARE else (PREPARE,)
    return tuple(dict.fromkeys((*step.needs, *step.streams, *sampled, *prepared)))


class _Graph:
    """Builds the step graph of one recipe; each method yields the steps of one phase."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.first_policy = train_step(WARMUP) if recipe.warmup else PREPARE
        self.trains_prm = recipe.prm is not None and recipe.prm.train is not None
        self.prm = (train_step(REWARD) if self.trains_prm else FETCH) if recipe.prm else None
        self.choose: str | None = None
        self.evaluations: list[str] = []

    def build(self, iterations: int) -> Iterator[StepSpec]:
        yield StepSpec(name=PREPARE, params=PrepareParams())
        yield from self.evaluation(BASE, PREPARE)
        if self.recipe.warmup:
            yield from self.warmup(self.recipe.warmup)
            yield from self.evaluation(WARMUP, self.first_policy)
        if self.recipe.prm:
            yield from self.reward_model(self.recipe.prm)
        for iteration in range(1, iterations + 1):
            yield from self.iteration(iteration)
        yield self.publish(iterations)

    def warmup(self, plan: WarmupRecipe) -> Iterator[StepSpec]:
        """Rationales for known answers, then SFT on the right ones."""
        rows = []
        for shard, start, count in rollout_shards(self.recipe, plan.questions):
            rows.append(step_name(WARMUP, "generate", shard=shard))
            params = GenerateParams(
                purpose="warmup",
                split="train",
                start=start,
                count=count,
                draws=(Sampling(n=plan.n, temperature=plan.temperature),),
                with_reference=True,
                weights=PREPARE,
            )
            yield StepSpec(name=rows[-1], params=params, needs=(PREPARE,))
        # What is not a chain later is none here either: warm-up teaches the format.
        min_steps = self.recipe.evolution.selection.min_steps
        # At random: there is no PRM yet, which is trained on samples of the policy that this makes.
        rule = SelectionRecipe(mode=SelectionMode.RANDOM, k=plan.keep_per_question, min_steps=min_steps)
        selected = [self.select(0, name, rule) for name in rows]
        yield from selected
        train = TrainParams(
            objective="sft",
            iteration=0,
            data=_names(selected),
            parent=PREPARE,
            carry_optimizer=False,
            horizon=plan.train.updates,
            settings=plan.train,
        )
        yield _streaming(WARMUP, train)

    def reward_model(self, plan: PrmRecipe) -> Iterator[StepSpec]:
        """Solutions of the first policy, Monte-Carlo labels for each step, and PRM training (paper, section 3).

        A PRM that is not trained is fetched, and that is all. Solutions that the data set brings are neither sampled
        nor labelled.
        """
        if plan.base is not None:
            yield StepSpec(name=FETCH, params=FetchParams())
        if plan.train is None:
            return
        parent = PREPARE if plan.base is None else FETCH
        labels: list[str] = []
        for shard, start, count in () if plan.given else rollout_shards(self.recipe, plan.questions):
            sample = step_name(REWARD, "sample", shard=shard)
            labels.append(sibling(sample, "label"))
            params = GenerateParams(
                purpose="prm",
                split="train",
                start=self.recipe.prm_start + start,
                count=count,
                draws=(Sampling(n=plan.n, temperature=plan.temperature),),
                weights=self.first_policy,
            )
            yield StepSpec(name=sample, params=params, needs=(self.first_policy, *self.predecessors(WARMUP)))
            label = LabelParams(
                rows=sample,
                weights=self.first_policy,
                completions=plan.completions,
                temperature=plan.temperature,
                max_steps=plan.max_steps,
            )
            yield StepSpec(name=labels[-1], params=label, needs=(self.first_policy, sample))
        # Labels that the data set brings lie in `prepare`'s artefact, so nothing of the policy is waited for.
        given = plan.given > 0
        collect = CollectParams(rows=tuple(labels), given=given, label=plan.label, balance=plan.balance)
        yield StepSpec(name=COLLECT, params=collect, needs=(PREPARE,) if given else tuple(labels))
        train = TrainParams(
            objective="prm",
            iteration=0,
            data=(COLLECT,),
            parent=parent,
            carry_optimizer=False,
            horizon=plan.train.updates,
            settings=plan.train,
        )
        yield StepSpec(name=train_step(REWARD), params=train, needs=(parent, COLLECT))

    def iteration(self, number: int) -> Iterator[StepSpec]:
        """Sweep if due; rollouts, selection and training shard by shard; evaluation."""
        plan, phase = self.recipe.evolution, iteration_phase(number)
        weights = self.policy_after(number - 1)
        if sweep_precedes(self.recipe, number):
            yield from self.sweep(number, weights)
        chosen = (self.choose,) if self.choose else ()
        selected: list[StepSpec] = []
        # A selection waits for its own rollouts only, and training for the first selection.
        for shard, split, start, count in iteration_shards(self.recipe, number):
            rows = step_name(phase, "generate", shard=shard)
            params = GenerateParams(
                purpose=phase,
                split=split,
                start=start,
                count=count,
                # None: what the sweep chose is not known when the graph is built.
                draws=(Sampling(n=plan.n, temperature=None if self.choose else plan.temperature),),
                weights=weights,
                choose=self.choose,
            )
            yield StepSpec(name=rows, params=params, needs=self.prerequisites(number) + chosen)
            votes = split == UNLABELLED and not plan.unlabelled.oracle
            selected.append(self.select(number, rows, plan.selection, votes=votes))
            yield selected[-1]
        # ReST-EM samples from the last policy and trains the first one anew (paper, table 1).
        parent = weights if plan.init is InitFrom.LAST else self.first_policy
        follows = plan.init is InitFrom.LAST and number > 1
        train = TrainParams(
            objective="sft",
            iteration=number,
            data=_names(selected),
            parent=parent,
            carry_optimizer=plan.carries and (follows or plan.inherit_warmup),
            # The warm-up has a schedule of its own, so the first iteration begins one even with its moments.
            carry_schedule=follows,
            horizon=plan.horizon(number),
            settings=plan.train_of(number),
        )
        yield _streaming(phase, train)
        yield from self.evaluation(phase, train_step(phase))

    def sweep(self, number: int, weights: str) -> Iterator[StepSpec]:
        """Question-major: a shard holds every temperature of its questions, so their prefix is computed once."""
        plan = self.recipe.exploration
        rows, scores = [], []
        for shard, start, count in rollout_shards(self.recipe, plan.questions):
            rows.append(step_name(iteration_phase(number), "sweep", "generate", shard=shard))
            params = GenerateParams(
                purpose=f"sweep{number:02d}",
                split="validation",
                start=start,
                count=count,
                draws=tuple(Sampling(n=plan.n, temperature=t) for t in plan.grid),
                weights=weights,
                common_numbers=plan.common_numbers,
            )
            yield StepSpec(name=rows[-1], params=params, needs=self.prerequisites(number))
            # Pass@K needs verdicts only, which come with the responses.
            if plan.mode is ExplorationMode.REWARD_PASS:
                scores.append(sibling(rows[-1], "score"))
                yield self.score(scores[-1], rows[-1], plan.k)
        # The choice before is what a tie, or a doubtful difference, falls back to.
        previous, self.choose = self.choose, choose_step(number)
        choose = ChooseParams(
            iteration=number,
            mode=plan.mode,
            grid=plan.grid,
            k=plan.k,
            passes=min(self.recipe.evaluation.k, plan.n),
            estimator=plan.estimator,
            confidence=plan.confidence,
            current=self.recipe.evolution.temperature,
            previous=previous,
            rows=tuple(rows),
            scores=tuple(scores),
        )
        # The choice before is read where it is kept, so it must be committed, although its weights are long gone.
        needs = (*rows, *scores, *((previous,) if previous else ()))
        yield StepSpec(name=self.choose, params=choose, needs=needs)

    def evaluation(self, label: str, weights: str) -> Iterator[StepSpec]:
        """Greedy on the tests and on validation, n samples on validation, scored once there is a PRM."""
        plan = self.recipe.evaluation
        draws = {
            Draws.GREEDY: (Sampling(n=1, temperature=0.0),),
            Draws.SAMPLED: (Sampling(n=plan.n, temperature=plan.temperature),),
            Draws.SPREAD: tuple(Sampling(n=plan.n, temperature=one) for one in plan.temperatures),
        }
        made: dict[Draws, list[str]] = {one: [] for one in Draws}
        scores: list[str] = []
        # One version is loaded at a time: what samples the one before goes first, or weights would go to and fro.
        needs = (weights, *self.predecessors(label))
        for name, split, start, count, kind in evaluation_shards(self.recipe, label):
            params = GenerateParams(
                purpose="eval", split=split, start=start, count=count, draws=draws[kind], weights=weights
            )
            yield StepSpec(name=name, params=params, needs=needs)
            made[kind].append(name)
            if kind is Draws.SAMPLED and self.prm:
                scores.append(sibling(name, "score"))
                # 1, since best-of-n looks at the one response that is ranked first, and Reward-Pass@2 needs no more.
                yield self.score(scores[-1], name, 1)
        self.evaluations.append(evaluation_step(label))
        evaluate = EvaluateParams(
            label=label,
            greedy=tuple(made[Draws.GREEDY]),
            sampled=tuple(made[Draws.SAMPLED]),
            spread=tuple(made[Draws.SPREAD]),
            scores=tuple(scores),
            k=plan.k,
        )
        sampled = [name for names in made.values() for name in names]
        yield StepSpec(name=self.evaluations[-1], params=evaluate, needs=(*sampled, *scores))

    def publish(self, iterations: int) -> StepSpec:
        """What the run leaves behind: policy, PRM, CoT data set and PRM data set."""
        selections = tuple(
            step_name(iteration_phase(i), "select", shard=shard)
            for i in range(1, iterations + 1)
            for shard, *_ in iteration_shards(self.recipe, i)
        )
        params = PublishParams(
            policy=self.policy_after(iterations),
            prm=self.prm,
            selections=selections,
            collected=COLLECT if self.trains_prm else None,
            evaluations=tuple(self.evaluations),
        )
        fetched = FETCH if self.recipe.prm and self.recipe.prm.base else None
        # Its card says where a PRM of another base comes from.
        scored = dict.fromkeys(name for name in (self.prm, params.collected, fetched) if name is not None)
        made = (params.policy, *scored, *selections)
        return StepSpec(name=publish_step(iterations), params=params, needs=(*made, *self.evaluations))

    def score(self, name: str, rows: str, k: int) -> StepSpec:
        assert self.prm is not None
        return StepSpec(name=name, params=ScoreParams(rows=rows, prm=self.prm, k=k), needs=(self.prm, rows))

    def select(self, iteration: int, rows: str, recipe: SelectionRecipe, *, votes: bool = False) -> StepSpec:
        """The choice among a shard's responses, which asks the PRM where the rule ranks, or where responses vote."""
        # Without a PRM the step needs no device, and the control queue takes it (`stages.select`).
        prm = self.prm if votes or recipe.rule.needs_prm else None
        params = SelectParams(iteration=iteration, rows=rows, prm=prm, rule=recipe, votes=votes)
        return StepSpec(name=sibling(rows, "select"), params=params, needs=(rows, prm) if prm else (rows,))

    def prerequisites(self, number: int) -> tuple[str, ...]:
        """What comes before any sampling of an iteration: its weights, the PRM, and what samples older weights."""
        weights = self.policy_after(number - 1)
        prm = (self.prm,) if self.prm else ()
        return (weights, *prm, *self.predecessors(self.label_after(number - 1)))

    def predecessors(self, label: str) -> tuple[str, ...]:
        """Evaluation shards of the version before this one.

        The policy serves one version at a time, so what samples an old one comes before what samples the next.
        """
        if label == BASE:
            return ()
        number = iteration_of(label)
        before = BASE if number is None else self.label_after(number - 1)
        return tuple(name for name, *_ in evaluation_shards(self.recipe, before))

    def policy_after(self, iteration: int) -> str:
        return train_step(iteration_phase(iteration)) if iteration else self.first_policy

    def label_after(self, iteration: int) -> str:
        if iteration:
            return iteration_phase(iteration)
        return WARMUP if self.recipe.warmup else BASE


def _names(steps: Sequence[StepSpec]) -> tuple[str, ...]:
    return tuple(step.name for step in steps)


def _streaming(phase: str, params: TrainParams) -> StepSpec:
    """Training on selected shards, which may begin with the first of them."""
    # Streamed inputs are not needs: the trainer starts with the first shard and asks for the others as they arrive.
    first, *others = params.data
    return StepSpec(name=train_step(phase), params=params, needs=(params.parent, first), streams=tuple(others))
