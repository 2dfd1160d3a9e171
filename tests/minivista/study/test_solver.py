"""The solver that the base model learns from: a third of its subject is known badly, and it ends in a given answer."""

import random
from statistics import fmean

from minivista.study.architecture import make_processor
from minivista.study.arithmetic import OPERATIONS, result
from minivista.study.chains import sound_chain
from minivista.study.pretrain import Examples
from minivista.study.scenes import draws
from minivista.study.scripts import SCRIPTS, VALUES
from minivista.study.solver import EASY, HIGH, LOW, fact_skill, hard_values, judged, reading_skill, respond
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


def test_beliefs_are_those_that_it_draws() -> None:
    skill, rng = reading_skill(*sorted(hard_values())[0]), random.Random(0)
    truth = sorted(hard_values())[0][1]
    drawn = [skill.draw(rng, truth) for _ in range(4000)]
    assert abs(fmean(skill.belief(value, truth) - drawn.count(value) / 4000 for value in VALUES)) < 1e-9
    assert all(abs(skill.belief(value, truth) - drawn.count(value) / 4000) < 0.03 for value in VALUES)


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
    assert set("^&") < set(OPERATIONS)


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
