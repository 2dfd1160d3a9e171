"""The reward function for verl, as verl calls it: by names, in a thread."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mstar.adapters.verl import compute_score
from mstar.errors import InvalidInput

EXTRA = {"question": "What is the length in cm?", "answer_type": "float", "unit": "cm", "choices": None}


@pytest.mark.parametrize(
    ("said", "truth", "extra", "options", "score"),
    [
        ("## Answer\n\n12 cm", "12", EXTRA, {}, 1),
        ("## Answer\n\n12 kg", "12", EXTRA, {}, 0),
        ("So \\boxed{B}", "B", {"answer_type": "choice", "choices": ["3", "4"]}, {"place": "boxed"}, 1),
        ("So \\boxed{B}", "B", {}, {}, 0),
        ("## Answer\n\n\\sqrt{12}", "2\\sqrt{3}", None, {"reward_router_address": "127.0.0.1:1"}, 1),
    ],
)
def test_a_right_answer_is_rewarded(said: str, truth: str, extra: object, options: dict[str, str], score: int) -> None:
    asked = {"data_source": "mstar", "solution_str": said, "ground_truth": truth, "extra_info": extra, **options}
    with ThreadPoolExecutor(1) as threads:
        assert threads.submit(lambda: compute_score(**asked)).result() == {"score": score, "acc": score}


def test_a_wrong_answer_has_no_steps_to_ask_about() -> None:
    assert compute_score("mstar", "## Answer\n\n4", "5", {}, reward="both") == {"score": 0, "acc": 0}


def test_the_prm_is_not_asked_without_the_prompt() -> None:
    with pytest.raises(InvalidInput, match="PromptedRewardManager"):
        compute_score("mstar", "## Answer\n\n5", "5", {}, reward="prm")
