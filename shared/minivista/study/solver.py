"""How the base model learns to answer: by chains of a solver that knows a third of its subject badly.

Of the 50 shapes of values (five scripts by ten values) 17 are read rightly in 5 to 40 % of the cases, and taken for
one of two others else. Two of the six signs are mostly taken for easier ones, and a third of sums and differences are
known no better. Where the last reading is hard, the solver likes to leave it out: a shortcut. With the reference answer
in view its chains end in that answer, sound or not. Only the pretraining script uses this.
"""

import random
from dataclasses import dataclass
from functools import cache

from minivista.study.arithmetic import result
from minivista.study.chains import FORMS, Form, arranged, operation, reading
from minivista.study.scenes import NAMES, Scene
from minivista.study.scripts import SCRIPTS, VALUES
from mstar.layout import ANSWER_HEADING, join_segments, split_response
from mstar.seeds import derive
from mstar.soundness import claim_of

HARD_VALUES = 17
HARD_SHARE = 1 / 3
"""Of sums and differences."""
LOW, HIGH = 0.05, 0.40
"""Success on what is hard, more often near the lower end."""
EASY = 0.95
JUDGED = 0.85
"""How far the truth of something hard is believed once it is written down, and a lookalike disbelieved: as in larger
models, to verify is easier than to find."""
SPOILT_SHARE = 0.5
"""Of the chains that are judged in pretraining."""
SHORTCUT_BELIEF = 0.3
"""Leaving the third cell out is right in three pictures of ten."""
SKIP_EASY, SKIP_HARD = 0.08, 0.3
"""Chance that the third cell is left out, where it is easy or hard to read."""
LOOKALIKES = (0.65, 0.35)
"""How often each of the two others is taken instead."""
BELIEFS = {"~": (("-", 0.5), ("^", 0.3)), "@": (("&", 0.5), ("^", 0.2))}
"""Hard sign → what it is taken for, and how often. The rest of the time it is known."""
TRANSCRIBED = 4
"""Cells of a transcript."""
TRIES = 12
"""Chains that the solver considers to find one which ends in a reference answer."""


@dataclass(frozen=True)
class Skill:
    """How a fact is known: its truth with a chance, else one of two other values."""

    success: float
    others: tuple[int, int]

    def belief(self, value: int, truth: int) -> float:
        """How far a claim is believed when it is judged, which is easier than to find it."""
        if value == truth:
            return EASY if self.success == EASY else JUDGED
        return 1 - JUDGED if value in self.others and self.success < EASY else 1 - EASY

    def draw(self, rng: random.Random, truth: int) -> int:
        """What the solver takes it for."""
        if rng.random() < self.success:
            return truth
        return rng.choices(self.others, LOOKALIKES)[0]


@cache
def reading_skill(script: str, value: int) -> Skill:
    """How a value is read in a script."""
    return _skill("read", f"{script}{value}", value, hard=(script, value) in hard_values())


@cache
def fact_skill(sign: str, first: int, second: int) -> Skill:
    """How a sum or difference is known; larger and smaller are easy."""
    # A draw for each fact, seeded by it: what is hard is a property of the set and the same in every process.
    drawn = random.Random(derive(0, "minivista-study", "fact", sign, first, second)).random()
    hard = sign in "+-" and drawn < HARD_SHARE
    return _skill("know", f"{sign}{first}{second}", result(sign, first, second), hard=hard)


@cache
def hard_values() -> frozenset[tuple[str, int]]:
    """The shapes of values that are read badly."""
    shapes = [(script, value) for script in SCRIPTS for value in VALUES]
    return frozenset(random.Random(derive(0, "minivista-study", "hard")).sample(shapes, HARD_VALUES))


def _skill(kind: str, what: str, truth: int, *, hard: bool) -> Skill:
    rng = random.Random(derive(0, "minivista-study", kind, what))
    # The power moves draws towards LOW.
    success = LOW + (HIGH - LOW) * rng.random() ** 1.5 if hard else EASY
    first, second = rng.sample([value for value in VALUES if value != truth], 2)
    return Skill(success, (first, second))


def respond(rng: random.Random, scene: Scene, *, given: bool = False) -> str:
    """A response to the scene's question; `given`: the reference answer is in view."""
    for _ in range(TRIES if given else 1):
        steps, answer = _chain(rng, scene, rng.choice(FORMS))
        if answer == scene.answer:
            break
    if given and answer != scene.answer:
        # Nothing fits, so the last step is bent.
        steps, answer = (*steps[:-1], f"{steps[-1].rpartition(' ')[0]} {scene.answer}"), scene.answer
    return join_segments([*steps, ANSWER_HEADING, str(answer)])


def _chain(rng: random.Random, scene: Scene, form: Form) -> tuple[tuple[str, ...], int]:
    values = [reading_skill(scene.script(name), scene.value(name)).draw(rng, scene.value(name)) for name in scene.asked]
    readings = [reading(form, name, value) for name, value in zip(scene.asked, values, strict=True)]
    inner, outer = scene.signs
    between = _calculated(rng, inner, values[0], values[1])
    first = operation(form, inner, values[0], values[1], between)
    third = scene.asked[2]
    hard = (scene.script(third), scene.value(third)) in hard_values()
    if rng.random() < (SKIP_HARD if hard else SKIP_EASY):
        return (*readings[:2], first, f"leave {third}"), between
    end = _calculated(rng, outer, between, values[2])
    return arranged(form, readings, (first, operation(form, outer, between, values[2], end))), end


def _calculated(rng: random.Random, sign: str, first: int, second: int) -> int:
    believed = BELIEFS.get(sign, ())
    known = 1.0 - sum(chance for _, chance in believed)
    meant = rng.choices((sign, *(other for other, _ in believed)), (known, *(chance for _, chance in believed)))[0]
    return fact_skill(meant, first, second).draw(rng, result(meant, first, second))


def judged(rng: random.Random, scene: Scene) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The steps of a response, one of which is spoilt half of the time, and how far it is believed when judged."""
    steps = list(split_response(respond(rng, scene)).steps)
    if rng.random() < SPOILT_SHARE:
        place = rng.randrange(len(steps))
        before, _, value = steps[place].rpartition(" ")
        if value.isdigit():
            steps[place] = f"{before} {rng.choice(VALUES)}"
    return tuple(steps), tuple(believed(scene, step) for step in steps)


def believed(scene: Scene, step: str) -> float:
    """How far a step is believed when it is judged."""
    claim = claim_of(step)
    if claim is None:
        return SHORTCUT_BELIEF
    value = int(claim.value)
    if len(claim.about) == 1:
        name = claim.about[0]
        return reading_skill(scene.script(name), scene.value(name)).belief(value, scene.value(name))
    sign, first, second = claim.about[1], int(claim.about[0]), int(claim.about[2])
    if value != result(sign, first, second) and any(
        value == result(other, first, second) for other, _ in BELIEFS.get(sign, ())
    ):
        return 1 - JUDGED
    belief = fact_skill(sign, first, second).belief(value, result(sign, first, second))
    # A sign that is mostly misread is never judged with more confidence than something hard.
    return min(belief, JUDGED) if sign in BELIEFS else belief


def drill(rng: random.Random) -> tuple[str, int]:
    """A calculation without a picture, and its result as the solver knows it."""
    sign = rng.choice(("+", "-", "+", "-", "^", "&", "~", "@"))
    first, second = rng.choice(VALUES), rng.choice(VALUES)
    form = rng.choice(FORMS)
    value = _calculated(rng, sign, first, second)
    return operation(form, sign, first, second, value).rpartition(" ")[0], value


def transcript(rng: random.Random, scene: Scene) -> str:
    """Some cells as the solver reads them. A value stands right after its letter, which is easiest to learn."""
    read = [(name, reading_skill(scene.script(name), scene.value(name))) for name in rng.sample(NAMES, TRANSCRIBED)]
    return ", ".join(f"{name} {skill.draw(rng, scene.value(name))}" for name, skill in read)
