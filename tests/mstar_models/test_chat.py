"""The user turn of every prompt."""

from mstar_models.chat import build_messages


def test_the_picture_stands_before_the_question() -> None:
    (turn,) = build_messages("How many?")
    assert turn["role"] == "user"
    assert turn["content"] == [{"type": "image"}, {"type": "text", "text": "How many?"}]


def test_the_reference_answer_stands_below_the_question() -> None:
    (turn,) = build_messages("How many?", "61")
    assert turn["content"][1]["text"] == "How many?\n\nReference answer: 61"
