"""What admission knows of model types is what transformers and our families have."""

import pytest
from transformers import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as LOADED

from further_families import DRIVEN
from mstar.model_types import (
    ELSEWISE,
    IMAGES,
    OTHERS,
    TRIED,
    UNTRIED,
    WITH_CODE,
    WITHOUT_TEMPLATE,
    parse_untried,
    type_problem,
    untried_lines,
)
from mstar_models.families import FAMILIES


def test_the_types_are_those_of_transformers() -> None:
    kinds = (TRIED, UNTRIED, ELSEWISE.keys(), OTHERS)
    assert set(LOADED) == set().union(*kinds)
    assert sum(map(len, kinds)) == len(LOADED)
    # Made of two models that it must be given.
    alone = OTHERS - {"vision-encoder-decoder"}
    assert all(CONFIG_MAPPING[name]().is_encoder_decoder for name in alone)


def test_every_type_of_transformers_is_tried_or_refused_in_a_sentence() -> None:
    for name in LOADED:
        problem = type_problem(name)
        assert (problem is None) == (name in TRIED), name
        assert problem is None or (": use " in problem and "docs/models.md" in problem) or name in OTHERS, problem


def test_what_is_tried_is_what_the_test_of_the_families_drives() -> None:
    assert {one.model_type for one in DRIVEN} == TRIED
    assert {one.model_type: one.shown for one in DRIVEN if one.model_type in IMAGES} == IMAGES


def test_the_types_are_those_of_our_families() -> None:
    declared = [(name, family) for family in FAMILIES for name in family.model_types]
    assert {name for name, family in declared if family.remote is not None} == WITH_CODE
    assert {name for name, family in declared if family.template is not None} == WITHOUT_TEMPLATE
    assert {name for name, _ in declared} <= TRIED | UNTRIED | WITH_CODE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "llama",
            "not a vision-language model that transformers has: use one of the families that docs/models.md lists",
        ),
        ("internvl_chat", "use the native folder of the same model, whose name ends in -hf"),
        ("multi_modality", "use a folder of deepseek-community"),
        ("florence2", "an encoder for the prompt and a decoder for the response"),
        (
            "kimi_k25",
            "never tried with: use one of the families that docs/models.md lists, or see docs/add-a-family.md",
        ),
        ("phi4_multimodal", "transformers loads it as a text-only model: use Phi-3.5-vision or Qwen2.5-VL"),
        ("pi0", "moves robots, and writes no text: use one of the families"),
        ("phi3_v", "needs code from its folder, and that runs only where an operator allows it"),
    ],
)
def test_another_type_is_refused_with_what_to_do(name: str, said: str) -> None:
    problem = type_problem(name)
    assert problem is not None and said in problem and problem.startswith(f"has model_type '{name}' in config.json")


def test_allowed_code_makes_a_type_known() -> None:
    assert type_problem("minicpmv", ["minicpmv"]) is None
    assert type_problem("phi3_v", ["minicpmv"]) is not None


def test_an_operator_allows_untried_types_and_no_others() -> None:
    assert parse_untried("") == frozenset()
    allowed = parse_untried(" llama4, kosmos-2,")
    assert allowed == {"llama4", "kosmos-2"}
    assert {name for name in UNTRIED if type_problem(name, allowed) is None} == allowed
    for name, said in (
        ("internvl", "is tried and needs no permission"),
        ("florence2", "cannot be allowed here"),
        ("phi3_v", "cannot be allowed here"),
        ("llama", "cannot be allowed here"),
        ("*", "cannot be allowed here"),
    ):
        with pytest.raises(ValueError, match=said):
            parse_untried(f"llama4,{name}")


def test_a_run_on_untried_models_says_so() -> None:
    assert untried_lines(()) == ()
    assert "of type llama4 were never tried" in untried_lines(("llama4", "fuyu"))[0]
