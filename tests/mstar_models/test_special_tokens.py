"""One beginning, every end of a turn, and tokens that are text although a tokenizer added them."""

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tokenizers import AddedToken, Tokenizer, processors

from family_folders import write_folder
from model_families import FAMILIES
from mstar.errors import InvalidInput
from mstar_models.chat import Turn, question_turns
from mstar_models.encoding import PromptEncoder, encode_text
from mstar_models.loading import load_processor
from mstar_models.special_tokens import edges_of, end_of_turn, suppressed_ids, turn_ends

IMAGE = Image.new("RGB", (70, 40), (40, 90, 200))
KINDS = ("llava", "qwen2_5_vl", "idefics3")
"""Pieces with a space before the first word, byte pairs, and an image in tiles."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("special")
    return {one.name: write_folder(one, root / one.name) for one in FAMILIES if one.name in KINDS}


@pytest.fixture
def folder(request: pytest.FixtureRequest, folders: dict[str, Path], tmp_path: Path) -> Path:
    """A copy without weights, which a test may change."""
    source, target = folders[request.param], tmp_path / request.param
    target.mkdir()
    for path in source.iterdir():
        if path.suffix != ".safetensors":
            (target / path.name).write_bytes(path.read_bytes())
    return target


def change(path: Path, **values: Any) -> None:
    found = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(found | values))


def begins(folder: Path, *, template: bool, tokenizer: bool) -> str:
    """Have the chat template, the tokenizer or both write a beginning; returns it."""
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    written.add_special_tokens([AddedToken("<begin>", special=True, normalized=False)])
    place = written.token_to_id("<begin>")
    if tokenizer:
        written.post_processor = processors.TemplateProcessing(single="<begin> $A", special_tokens=[("<begin>", place)])
    written.save(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    change(folder / "tokenizer_config.json", bos_token="<begin>", tokenizer_class="PreTrainedTokenizerFast")
    assert settings
    if template:
        current = load_processor(folder).chat_template
        for name in ("chat_template.json", "chat_template.jinja"):
            (folder / name).unlink(missing_ok=True)
        (folder / "chat_template.jinja").write_text("{{ '<begin>' }}" + current)
    return "<begin>"


@pytest.mark.parametrize("folder", KINDS, indirect=True)
@pytest.mark.parametrize(("template", "tokenizer", "times"), [(1, 1, 1), (1, 0, 1), (0, 1, 1), (0, 0, 0)])
def test_a_prompt_begins_once(folder: Path, template: int, tokenizer: int, times: int) -> None:
    begin = begins(folder, template=bool(template), tokenizer=bool(tokenizer))
    processor = load_processor(folder)
    place = processor.tokenizer.convert_tokens_to_ids(begin)
    assert edges_of(processor.tokenizer).begin == (begin if tokenizer else "")
    prompts = PromptEncoder(processor)
    turns = (*question_turns("How many?"), Turn("assistant", ("7",)), Turn("user", (f"Sure? {begin}",)))
    for ids in (prompts.encode_turns(turns, [IMAGE]).input_ids, prompts.unexpanded(turns)):
        assert ids.count(place) == times
        assert (ids[0] == place) == bool(times)


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_what_a_tokenizer_puts_behind_a_text_is_no_part_of_a_prompt(folder: Path) -> None:
    prompts = PromptEncoder(load_processor(folder))
    expected = prompts.encode("How many?", [IMAGE]).input_ids
    begins(folder, template=False, tokenizer=True)
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    place = written.token_to_id("<begin>")
    around = processors.TemplateProcessing(single="<begin> $A <begin>", special_tokens=[("<begin>", place)])
    written.post_processor = around
    written.save(str(folder / "tokenizer.json"))
    prompts = PromptEncoder(load_processor(folder))
    assert prompts.encode("How many?", [IMAGE]).input_ids == [place, *expected]
    assert prompts.unexpanded(question_turns("How many?"))[-1] != place


def added(folder: Path, *tokens: str) -> None:
    """Add tokens as ordinary ones."""
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    written.add_tokens([AddedToken(token, special=False, normalized=False) for token in tokens])
    written.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_added_tokens_that_are_text_are_sampled_and_stay_whole(folder: Path) -> None:
    added(folder, "\n\n", "<think>", "<table>")
    tokenizer = load_processor(folder).tokenizer
    places = tokenizer.convert_tokens_to_ids(["\n\n", "<think>", "<table>"])
    assert not set(places) & set(suppressed_ids(tokenizer))
    assert set(encode_text(tokenizer, "<think>so\n\n<table>")) >= set(places)
    prompts = PromptEncoder(load_processor(folder))
    ids = prompts.encode("What is in the <table>?\n\nUse <think>.", [IMAGE]).input_ids
    plain = prompts.encode("What is it?", [IMAGE]).input_ids
    assert [ids.count(place) - plain.count(place) for place in places] == [1, 1, 1]


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_a_placeholder_that_was_added_as_text_is_none(folder: Path) -> None:
    path = folder / "tokenizer.json"
    written = json.loads(path.read_text())
    image = load_processor(folder).image_token
    for token in written["added_tokens"]:
        token["special"] = token["special"] and token["content"] != image
    path.write_text(json.dumps(written))
    processor = load_processor(folder)
    place = processor.tokenizer.convert_tokens_to_ids(image)
    assert place in suppressed_ids(processor.tokenizer)
    assert place not in encode_text(processor.tokenizer, f"see {image} here")
    prompts = PromptEncoder(processor)
    spelled, plain = (prompts.encode(text, [IMAGE]).input_ids for text in (f"Is {image} it?", "Is it?"))
    assert spelled.count(place) == plain.count(place) > 0


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_every_configured_end_ends_a_turn(folder: Path) -> None:
    processor = load_processor(folder)
    own = processor.tokenizer.eos_token_id
    change(folder / "generation_config.json", eos_token_id=[own, 5, 9])
    assert turn_ends(folder, processor) == {own, 5, 9}
    (folder / "generation_config.json").unlink()
    assert own in turn_ends(folder, processor)


@pytest.mark.parametrize("folder", KINDS, indirect=True)
def test_what_the_template_writes_behind_an_answer_ends_it(folder: Path) -> None:
    processor = load_processor(folder)
    assert end_of_turn(processor) == processor.tokenizer.eos_token_id
    written = Tokenizer.from_file(str(folder / "tokenizer.json"))
    written.add_special_tokens([AddedToken("<|eot|>", special=True, normalized=False)])
    written.save(str(folder / "tokenizer.json"))
    processor = load_processor(folder)
    processor.chat_template = (
        "{% for m in messages %}{{ m['role'] }}:{% for part in m['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|eot|>{% endfor %}"
    )
    end = processor.tokenizer.convert_tokens_to_ids("<|eot|>")
    assert end_of_turn(processor) == end
    assert end in turn_ends(folder, processor)


def test_a_template_for_one_turn_leaves_the_end_to_the_tokenizer(folders: dict[str, Path]) -> None:
    processor = load_processor(folders["llava"])
    processor.chat_template = "{% if messages | length > 1 %}{{ raise_exception('one turn') }}{% endif %}x"
    assert end_of_turn(processor) == processor.tokenizer.eos_token_id


@pytest.mark.parametrize("folder", ["llava"], indirect=True)
def test_a_base_model_needs_some_token_that_ends_a_response(folder: Path) -> None:
    (folder / "generation_config.json").unlink()
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    end = settings.pop("eos_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    processor = load_processor(folder)
    assert processor.tokenizer.eos_token_id is None
    written = processor.tokenizer.convert_tokens_to_ids(end)
    assert end_of_turn(processor) == written and written in turn_ends(folder, processor)
    (folder / "chat_template.json").unlink()
    (folder / "chat_template.jinja").write_text(processor.chat_template.replace(end, ""))
    with pytest.raises(InvalidInput, match="nothing says which token ends a response: set eos_token in tokenizer_con"):
        load_processor(folder)
