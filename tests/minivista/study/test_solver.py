"""The solver that the base model learns from: a third of its subject is known badly, and it ends in a given answer."""

import random
from statistics import fmean

import pytest

from minivista.study.architecture import make_processor
from minivista.study.arithmetic import result
from minivista.study.chains import sound_chain
from minivista.study.pretrain import Examples
from minivista.study.scenes import Scene, draws
from minivista.study.scripts import SCRIPTS, VALUES
from minivista.study.solver import (
    EASY,
    HIGH,
    JUDGED,
    LOW,
    believed,
    fact_skill,
    hard_values,
    judged,
    reading_skill,
    respond,
)
from mstar.layout import scored_segments, split_response
from mstar.soundness import is_sound
from mstar_models.encoding import encode_segments


def test_a_third_of_the_shapes_and_facts_is_hard_and_succeeds_rarely() -> None:
    shapes = [(script, value) for script in SCRIPTS for value in VALUES]
    hard = hard_values()
    assert len(hard) == 17
    for script, value in shapes:
        skill = reading_skill(script, value)
        assert LOW <= skill.success <= HIGH if (script, value) in hard else skill.success == EASY
        assert value not in skill.others and len(set(skill.others)) == 2
    facts = [fact_skill(sign, a, b).success for sign in "+-" for a in VALUES for b in VALUES]
    assert 0.25 < fmean(success < EASY for success in facts) < 0.42
    assert all(fact_skill("^", a, b).success == EASY for a in VALUES for b in VALUES)


def test_what_is_hard_to_find_is_easier_to_judge() -> None:
    for script, truth in hard_values():
        skill = reading_skill(script, truth)
        assert skill.belief(truth, truth) == JUDGED > skill.success
        assert all(skill.belief(other, truth) == pytest.approx(1 - JUDGED) for other in skill.others)
        assert min(skill.belief(value, truth) for value in VALUES) == pytest.approx(1 - EASY)


def test_a_sign_that_is_taken_for_another_is_judged_rightly() -> None:
    scene = Scene((3, 7, 5, 1, 1, 1, 1, 1, 1), ("TQA",) * 9, ("A", "B", "C"), ("~", "@"))
    assert believed(scene, "3 ~ 7 = 4") == JUDGED
    # Taken for a difference on the dial, for the larger of the two, and for nothing known.
    assert believed(scene, "3 ~ 7 = 6") == believed(scene, "3 ~ 7 gives 7") == pytest.approx(1 - JUDGED)
    assert believed(scene, "3 ~ 7 = 9") == pytest.approx(1 - EASY)
    assert believed(scene, "3 & 7 = 3") == EASY
    assert believed(scene, "leave C") == 0.3


def test_its_responses_are_what_the_gates_ask_for() -> None:
    rng = random.Random(0)
    correct = sound = 0
    for place in range(200):
        scene, _ = next(draws("validation", place))
        for _ in range(8):
            text = respond(rng, scene)
            parts = split_response(text)
            assert len(parts.steps) in (4, 5)
            correct += parts.answer == str(scene.answer)
            sound += is_sound(text, sound_chain(scene))
    assert 0.2 < correct / 1600 < 0.4
    assert 0.4 < 1 - sound / correct < 0.65


def test_with_the_answer_in_view_every_response_ends_in_it() -> None:
    rng = random.Random(1)
    for place in range(100):
        scene, _ = next(draws("train", place))
        assert split_response(respond(rng, scene, given=True)).answer == str(scene.answer)


def test_true_steps_are_believed_where_they_are_easy() -> None:
    rng = random.Random(2)
    easy, spoilt = [], []
    for place in range(200):
        scene, _ = next(draws("train", place))
        if any((scene.script(name), scene.value(name)) in hard_values() for name in scene.asked):
            continue
        for step, belief in zip(*judged(rng, scene), strict=True):
            if " ^ " in step or " & " in step:
                first, sign, second, _, value = step.split(" ")
                right = str(result(sign, int(first), int(second))) == value
                (easy if right else spoilt).append(belief)
    assert min(easy) == EASY and max(spoilt) < 0.1


def test_examples_are_encoded_as_in_training() -> None:
    processor = make_processor()
    examples, rng = Examples(processor, 0), random.Random(0)
    for place in range(20):
        scene, _ = next(draws("pretrain", place))
        segments = scored_segments(respond(rng, scene))
        whole = [*encode_segments(processor.tokenizer, segments)[0], processor.tokenizer.eos_token_id]
        assert examples._response(segments) == whole
    batch = examples.judgements()
    assert batch["beliefs"].shape == batch["input_ids"].shape
    assert ((batch["beliefs"] >= 0).sum(dim=1) >= 4).all()
    assert batch["beliefs"].max() <= 1
