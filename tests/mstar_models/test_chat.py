"""The user turn of every prompt."""

import shutil
from pathlib import Path

from minivista.builtin import BUILTINS
from mstar_models.chat import Turn, build_messages, question_turns
from mstar_models.encoding import PromptEncoder
from mstar_models.loading import load_processor


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


def test_a_template_that_writes_the_date_writes_the_same_on_every_day(tmp_path: Path) -> None:
    source, folder = BUILTINS["builtin:minivista"].model, tmp_path / "model"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.safetensors"))
    template = folder / "chat_template.jinja"
    before = PromptEncoder(load_processor(folder)).text_of(question_turns("How many?"))
    template.write_text("{{ 'Today is ' ~ strftime_now('%d %B %Y') }}" + template.read_text())
    text = PromptEncoder(load_processor(folder)).text_of(question_turns("How many?"))
    assert text == f"Today is 01 January 2026{before}"
