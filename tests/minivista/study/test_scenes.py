"""The study's set: chains that are sound in six forms, answers that wrong chains reach, splits without overlap."""

import random
from collections import Counter
from functools import cache

import pytest

from minivista.canvas import rgb
from minivista.digits import flowers
from minivista.study import SIZES
from minivista.study.arithmetic import OPERATIONS, WEIGHTS, result
from minivista.study.chains import FORMS, sound_chain
from minivista.study.scenes import NAMES, OWNERS, SPLITS, Scene, draws, group_at, owner
from minivista.study.scripts import SCRIPTS
from mstar.answers import check
from mstar.layout import ANSWER_HEADING, join_segments, split_response
from mstar.soundness import ArithmeticClaim, claim_of, is_sound
from mstar.types import Answer, AnswerType

EACH = 150


@cache
def scenes(split: str) -> tuple[Scene, ...]:
    return tuple(next(draws(split, place))[0] for place in range(EACH))


def written(scene: Scene, steps: tuple[str, ...], answer: int) -> str:
    return join_segments([*steps, ANSWER_HEADING, str(answer)])


@pytest.mark.parametrize("split", SIZES)
def test_every_form_of_a_chain_is_sound_and_correct(split: str) -> None:
    for scene in scenes(split)[:40]:
        gold = sound_chain(scene)
        texts = {written(scene, sound_chain(scene, form), scene.answer) for form in FORMS}
        assert len(texts) == len(FORMS) == 6
        for text in texts:
            assert is_sound(text, gold)
            assert check(text, Answer(type=AnswerType.INTEGER, value=str(scene.answer))).correct


def test_a_chain_says_what_the_scene_shows() -> None:
    for scene in scenes("train"):
        for form in FORMS:
            claims = [claim_of(step) for step in sound_chain(scene, form)]
            readings = {claim.about[0]: claim.value for claim in claims if claim and len(claim.about) == 1}
            assert readings == {name: str(scene.value(name)) for name in scene.asked}
            last = claims[-1]
            assert isinstance(last, ArithmeticClaim) and last.value == str(scene.answer)
            assert {len(claim.about) for claim in claims if claim} == {1, 3}


def test_a_chain_with_one_wrong_step_is_not_sound_and_still_right_now_and_then() -> None:
    """What the set is made for: the answer check alone cannot tell."""
    rng = random.Random(0)
    right = 0
    found = scenes("validation")
    for scene in found:
        values = {name: scene.value(name) for name in scene.asked}
        misread = rng.choice(scene.asked)
        values[misread] = (values[misread] + rng.randint(1, 9)) % 10
        slipped = Scene(
            tuple(values.get(name, scene.value(name)) for name in NAMES), scene.scripts, scene.asked, scene.signs
        )
        assert not is_sound(written(scene, sound_chain(slipped), slipped.answer), sound_chain(scene))
        right += slipped.answer == scene.answer
    assert 0.1 < right / len(found) < 0.4


def test_leaving_the_third_cell_out_is_right_in_about_three_pictures_of_ten() -> None:
    shortcut = [
        result(scene.signs[0], scene.value(scene.asked[0]), scene.value(scene.asked[1])) == scene.answer
        for split in SIZES
        for scene in scenes(split)
    ]
    assert 0.25 < sum(shortcut) / len(shortcut) < 0.36
    scene = scenes("train")[0]
    steps = sound_chain(scene)
    assert not is_sound(written(scene, (*steps[:3], f"leave {scene.asked[2]}"), scene.answer), steps)


def test_answers_are_digits_and_none_is_rare() -> None:
    answers = Counter(scene.answer for split in SIZES for scene in scenes(split))
    assert set(answers) == set(range(10))
    assert max(answers.values()) < 0.2 * sum(answers.values())
    assert set(WEIGHTS) == set(OPERATIONS)
    assert all(0 <= result(sign, a, b) <= 9 for sign in OPERATIONS for a in range(10) for b in range(10))


def test_a_scene_belongs_to_one_split_and_pretraining_owns_none_of_them() -> None:
    assert set(OWNERS) == set(SPLITS) == {*SIZES, "pretrain"}
    for split in SPLITS:
        assert {owner(scene.values, scene.scripts) for scene in scenes(split)} == {split}


def test_scenes_are_the_same_in_every_call_and_differ_between_places() -> None:
    again = [next(draws("test_id", place)) for place in range(20)]
    assert [scene for scene, _ in again] == list(scenes("test_id")[:20])
    assert len({picture.tobytes() for _, picture in again}) == 20


def test_only_test_ood_mixes_scripts_on_dark_paper() -> None:
    for split in SIZES:
        scene, picture = next(draws(split, 3))
        light = rgb(picture)[0, 0].mean() > 128
        assert (len(set(scene.scripts)) > 1) is (split == "test_ood")
        if group_at(3) != "MWP":
            assert bool(light) is (split != "test_ood")


def test_groups_take_turns_and_flowers_are_measured() -> None:
    assert [group_at(place) for place in range(5)] == list(SCRIPTS)
    measured = {tuple(int(one) % 10 for one in flower) for flower in flowers("train")}
    charts = [scene for scene in scenes("train") if scene.scripts[0] == "FQA"]
    assert any(scene.values[:4] in measured and scene.values[4:8] in measured for scene in charts)


def test_the_question_names_the_cells_and_signs() -> None:
    scene = Scene((1, 2, 3, 4, 5, 6, 7, 8, 9), ("TQA",) * 9, ("A", "I", "C"), ("^", "-"))
    assert scene.question == "What is (A ^ I) - C?"
    assert scene.answer == 6
    assert split_response(written(scene, sound_chain(scene), 6)).steps == (
        "A is 1",
        "I is 9",
        "1 ^ 9 = 9",
        "C is 3",
        "9 - 3 = 6",
    )
