"""The form that starts a run: a field for every value of a recipe, with its sentence, bounds and present value."""

import json
import re
from collections.abc import Iterator
from html import unescape

import httpx2
import pytest

from coordinator_bench import SMALL, MemoryPublisher
from mstar.recipes import Recipe, parse_recipe
from mstar_coordinator.api.pages.recipe_form import FormField, sections_of
from pages_bench import client_of, start


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    yield from client_of(tmp_path_factory.mktemp("starting"), MemoryPublisher())


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value and path not in ("evaluation.sets",):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    else:
        yield path, value


def fields(recipe: Recipe) -> dict[str, FormField]:
    return {field.path: field for section in sections_of(recipe) for field in section.fields}


def test_every_value_of_a_recipe_has_a_field_with_its_sentence() -> None:
    found = fields(SMALL)
    # What an evaluation measures is set by its own route; a run with it would be refused.
    assert {path: json.loads(field.value) for path, field in found.items()} == dict(
        leaves(SMALL.model_dump(mode="json", exclude={"measure"}))
    )
    assert not [path for path, field in found.items() if not field.about and path != "name"]
    assert (found["evolution.n"].kind, found["evolution.n"].least, found["evolution.n"].most) == ("integer", 1, 1024)
    assert "carried" in found["evolution.optimizer"].choices and found["exploration.grid"].kind == "json"


def test_fields_are_overrides_that_the_recipe_takes_back() -> None:
    overrides = {path: json.loads(field.value) for path, field in fields(SMALL).items()}
    assert parse_recipe(json.loads(SMALL.model_dump_json()), overrides) == SMALL


def test_a_value_that_may_be_missing_is_left_empty_and_needs_no_quotation_marks() -> None:
    found = fields(SMALL)
    bound, mapping, preset = found["model.min_pixels"], found["data.mapping"], found["data.answers"]
    assert (bound.kind, bound.optional, bound.shown, bound.wanted) == ("integer", True, "", "a whole number")
    assert (mapping.kind, mapping.optional, mapping.shown) == ("text", True, "")
    assert preset.choices[0] == "" and preset.shown == ""
    assert found["exploration.grid"].wanted == "a list in brackets, such as [1, 2]"


def test_an_absent_section_is_one_field() -> None:
    found = fields(SMALL.model_copy(update={"warmup": None}))
    assert found["warmup"].value == "null" and not any(path.startswith("warmup.") for path in found)


def test_a_page_says_what_cannot_be_done_without_javascript(client: httpx2.Client) -> None:
    shown = client.get("/new?recipe=demo").text.partition("<noscript>")[2].partition("</noscript>")[0]
    assert "Without JavaScript these pages can be read, and nothing on them can be started" in shown


def test_the_form_shows_a_recipe_that_ships_or_that_of_a_run(client: httpx2.Client) -> None:
    page = client.get("/new?recipe=minivista").text
    assert (
        'name="evolution.n"' in page
        and 'data-base="&#34;minivista&#34;"' in page
        and "<option selected>minivista" in page
    )
    run_id = start(client)
    clone = client.get(f"/runs/{run_id}/clone").text
    (base,) = re.findall(r'data-base="([^"]+)"', clone)
    assert Recipe.model_validate_json(unescape(base)) == SMALL
    copied = client.post("/v1/runs", json={"recipe": json.loads(unescape(base)), "overrides": {"seed": 3}})
    assert copied.status_code == 202 and copied.json()["recipe"]["seed"] == 3


def test_a_refusal_names_the_field_that_the_form_has(client: httpx2.Client) -> None:
    base = json.loads(SMALL.model_dump_json())
    for path, value in (("evolution.n", 0), ("exploration.grid", []), ("evolution.optimizer", "x"), ("name", "")):
        refused = client.post("/v1/runs", json={"recipe": base, "overrides": {path: value}})
        assert refused.status_code == 422 and refused.json()["field"].endswith(path)


def test_an_unknown_recipe_or_run_is_not_found(client: httpx2.Client) -> None:
    assert client.get("/new?recipe=none").status_code == client.get("/runs/r-none/clone").status_code == 404


def test_the_list_keeps_its_filter(client: httpx2.Client) -> None:
    run_id = start(client)
    client.patch(f"/v1/runs/{run_id}", json={"tags": ["mine"]})
    page = client.get("/runs?state=running&tag=mine&text=&archived=true").text
    assert page.count('href="/runs/r-') == 1 and "<option selected>running" in page and 'class="tag"' in page
    assert "No run meets this filter" in client.get("/runs?tag=other").text
    assert client.get("/runs?state=none").status_code == 422
