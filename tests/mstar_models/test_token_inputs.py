"""What a forward pass is given for each token: the places of images, and which images a token sees."""

import torch

from architectures import IMAGE_TOKEN, gemma3, llava, paligemma, qwen2_vl
from mstar_models.encoding import EncodedPrompt
from mstar_models.token_inputs import token_inputs

SHORT, LONG = EncodedPrompt([IMAGE_TOKEN, 5]), EncodedPrompt([6, IMAGE_TOKEN, IMAGE_TOKEN, 7])


def test_places_of_images_are_padded_like_the_ids() -> None:
    model = gemma3()
    model.config.image_token_id = IMAGE_TOKEN
    right = token_inputs(model, [(SHORT, 3), (LONG, 5)], 5, "right")["token_type_ids"]
    assert right.tolist() == [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0]]
    left = token_inputs(model, [(LONG, 5), (SHORT, 3)], 5, "left")["token_type_ids"]
    assert left[:, 2:].tolist() == [[1, 0, 0], [1, 0, 0]]


def test_paligemma_is_told_where_the_response_begins() -> None:
    found = token_inputs(paligemma(), [(SHORT, 4), (LONG, 4)], 4, "right")["token_type_ids"]
    assert found.tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]


def test_a_response_sees_the_images_that_the_last_token_of_the_prompt_sees() -> None:
    seen = torch.tensor([[[[0, 0]], [[1, 0]], [[1, 1]]]])  # [1, P, images, tiles]
    prompt = EncodedPrompt([1, 2, 3], per_token={"cross_attention_mask": seen})
    found = token_inputs(llava()[0], [(prompt, 5)], 6, "right")["cross_attention_mask"]
    assert found[0, :, 0].tolist() == [[0, 0], [1, 0], [1, 1], [1, 1], [1, 1], [1, 1]]


def test_most_families_are_given_nothing() -> None:
    assert token_inputs(llava()[0], [(SHORT, 3)], 3, "right") == {}
    # It takes mm_token_type_ids for its positions, which it is given.
    assert token_inputs(qwen2_vl()[0], [(SHORT, 3)], 3, "right") == {}


def test_images_that_see_themselves_are_told_by_the_name_that_the_model_takes() -> None:
    model, _ = qwen2_vl()
    model.config.text_config.use_bidirectional_attention = "vision"
    assert token_inputs(model, [(LONG, 5)], 5, "right")["mm_token_type_ids"].tolist() == [[0, 1, 1, 0, 0]]
