"""The user turn of every prompt."""

from mstar_models.chat import Turn, build_messages, question_turns


def test_the_picture_stands_before_the_question() -> None:
    (turn,) = build_messages(question_turns("How many?"))
    assert turn["role"] == "user"
    assert turn["content"] == [{"type": "image"}, {"type": "text", "text": "How many?"}]


def test_the_system_turn_stands_first_and_only_where_there_is_one() -> None:
    system, user = build_messages(question_turns("How many?", "Be brief."))
    assert (system["role"], system["content"]) == ("system", [{"type": "text", "text": "Be brief."}])
    assert [user] == build_messages(question_turns("How many?"))


def test_turns_keep_their_order_and_their_images_theirs() -> None:
    turns = [Turn("system", ("Be brief.",)), Turn("user", ("a", None, "b", None))]
    assert [turn.images for turn in turns] == [0, 2]
    first, second = build_messages(turns)
    assert (first["role"], first["content"]) == ("system", [{"type": "text", "text": "Be brief."}])
    assert [part["type"] for part in second["content"]] == ["text", "image", "text", "image"]
