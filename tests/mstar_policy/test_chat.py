"""Tests of chat completions over HTTP, with the fake engine."""

import json
from typing import Any

import pytest
from fastapi import FastAPI

from mstar.steps import ArtefactRef
from mstar_policy.chat import HARMLESS, IDLE, MAX_IMAGES
from policy_bench import DATA, chat
from web_bench import ask

JSON = {"content-type": "application/json"}
PICTURE = chat()["messages"][0]["content"][0]


def test_chat_completions_have_openai_s_shape(app: FastAPI, warm: ArtefactRef) -> None:
    answer = ask(app, "POST", "/v1/chat/completions", json=chat(n=2, seed=3, max_tokens=5, user="ignored")).json()
    assert (answer["object"], answer["model"]) == ("chat.completion", warm.version)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["choices"][0]["message"]["role"] == "assistant"
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 10
    again = ask(app, "POST", "/v1/chat/completions", json=chat(n=2, seed=3, max_tokens=5)).json()
    assert again["choices"] == answer["choices"]


def test_chats_without_a_seed_differ(app: FastAPI) -> None:
    answers = {ask(app, "POST", "/v1/chat/completions", json=chat()).json()["choices"][0]["message"]["content"]}
    answers |= {ask(app, "POST", "/v1/chat/completions", json=chat()).json()["choices"][0]["message"]["content"]}
    assert len(answers) == 2


def test_a_streamed_chat_spells_out_the_same_text(app: FastAPI, warm: ArtefactRef) -> None:
    whole = ask(app, "POST", "/v1/chat/completions", json=chat(seed=3)).json()["choices"][0]["message"]["content"]
    response = ask(
        app, "POST", "/v1/chat/completions", json=chat(seed=3, stream=True, stream_options={"include_usage": True})
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content", "") for delta in deltas) == whole
    assert chunks[-1]["usage"]["completion_tokens"] == sum("content" in delta for delta in deltas) - 1
    assert {chunk["model"] for chunk in chunks} == {warm.version}
    plain = ask(app, "POST", "/v1/chat/completions", json=chat(seed=3, stream=True)).text
    assert '"usage"' not in plain, "only where it was asked for"


def test_a_stream_that_cannot_begin_has_a_status(app: FastAPI) -> None:
    refused = ask(app, "POST", "/v1/chat/completions", json=chat(model="other@000000000000", stream=True))
    assert refused.status_code == 404 and refused.json()["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("request_body", "said"),
    [
        (chat("http://169.254.169.254/latest/meta-data"), "never fetched"),
        (chat("file:///etc/passwd"), "never fetched"),
        (chat("data:image/svg+xml,<svg/>"), "never fetched"),
        (chat(f"data:image/png;base64,{DATA}%"), "base64"),
        ({"messages": [{"role": "user", "content": ""}]}, "neither text nor an image"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "half of a surrogate pair"),
        ({"messages": [{"role": "user", "content": "x" * 131_073}]}, "131073 characters"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "must hold image_url"),
        ({"messages": [{"role": "user", "content": [PICTURE | {"type": "text"}]}]}, "must hold text, and only that"),
        ({"messages": [{"role": "user", "content": [PICTURE | {"text": "Why?"}]}]}, "must hold image_url, and only"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "x", "name": "A" * 65}]}, "messages.0.name"),
        (
            {"messages": [{"role": "user", "content": "x", "name": one} for one in ("Ann", "Ann", "Bob")]},
            "messages.2.name: the model is not told who speaks",
        ),
        ({"messages": [{"role": "user", "content": "x", "cache_control": {"type": "kept"}}]}, "cache_control.type"),
        (chat() | {"messages": chat()["messages"] * (MAX_IMAGES + 1)}, f"at most {MAX_IMAGES}"),
        (chat(stop=["a"] * 17), "at most 16 strings"),
        (chat(stop="\ud800"), "half of a surrogate pair"),
        (chat(top_logprobs=2), "top_logprobs needs logprobs"),
        (chat(seed=2**63), "seed"),
        (chat(seed=-2), "seed"),
        (chat(n="4"), "n:"),
        (chat(n=True), "n:"),
        (chat(n=10**400), "n:"),
        (chat(temperature="0"), "temperature:"),
        (chat(max_tokens=10**12), "max_tokens:"),
    ],
)
def test_chats_that_cannot_be_answered_say_why(app: FastAPI, request_body: dict[str, Any], said: str) -> None:
    response = ask(app, "POST", "/v1/chat/completions", content=json.dumps(request_body), headers=JSON)
    assert response.status_code == 422
    assert said in response.json()["error"]["message"] and response.json()["error"]["param"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frequency_penalty", 0.5),
        ("presence_penalty", -1),
        ("logit_bias", {"50": -100}),
        ("allowed_token_ids", [1]),
        ("chat_template", "{{ messages }}"),
        ("echo", True),
        ("guided_choice", ["a", "b"]),
        ("guided_regex", "a*"),
        ("min_tokens", 5),
        ("never_heard_of", 1),
        ("prompt_logprobs", 1),
        ("structured_outputs", {"choice": ["a"]}),
        ("frequency_penalty", False),
        ("response_format", {"type": "json_object"}),
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "required"),
        ("modalities", ["text", "audio"]),
        ("reasoning_effort", "high"),
        ("repetition_penalty", 1.1),
        ("top_k", 40),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_options_that_would_change_the_answer_are_refused(app: FastAPI, name: str, value: Any, stream: bool) -> None:
    response = ask(app, "POST", "/v1/chat/completions", json=chat(**{name: value}, stream=stream))
    assert (response.status_code, response.json()["field"]) == (422, name)
    assert f"{name} is not supported: leave it out" in response.json()["error"]["message"]


def test_options_that_change_nothing_are_accepted(app: FastAPI) -> None:
    unset = {name: values[0] for name, values in HARMLESS.items()}
    nulls = dict.fromkeys(
        [
            *HARMLESS,
            *IDLE,
            "structured_outputs",
            "n",
            "temperature",
            "top_p",
            "seed",
            "max_tokens",
            "stream_options",
            "logprobs",
        ]
    )
    idle = {"user": "u", "store": True, "metadata": {"a": "b"}, "service_tier": "auto"}
    for options in (unset, nulls, idle):
        answer = ask(app, "POST", "/v1/chat/completions", json=chat() | options)
        assert (answer.status_code, len(answer.json()["choices"])) == (200, 1)


def test_a_name_for_each_role_and_marks_for_caches_change_nothing(app: FastAPI) -> None:
    asked = chat(temperature=0)["messages"][0]["content"]
    answered = {"role": "assistant", "content": "Three."}
    plain_ones = [{"role": "user", "content": asked}, answered, {"role": "user", "content": "Sure?"}]
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    marked = [
        {"role": "user", "content": [part | mark for part in asked], "name": "Ann"},
        answered | {"name": "policy_1"} | mark,
        {"role": "user", "content": "Sure?", "name": "Ann"},
    ]
    assert words(app, temperature=0, messages=plain_ones) == words(app, temperature=0, messages=marked)


@pytest.mark.parametrize("name", ["gpt-4o", "other@000000000000", "", "a/b", "x" * 499])
def test_a_model_that_is_not_served_is_not_found(app: FastAPI, name: str) -> None:
    for answer in (
        ask(app, "POST", "/v1/chat/completions", json=chat(model=name)),
        ask(app, "GET", f"/v1/models/{name or 'none'}"),
    ):
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "mstar-policy" in error["message"] and len(answer.content) < 1000


def words(app: FastAPI, **fields: Any) -> str:
    return str(ask(app, "POST", "/v1/chat/completions", json=chat(**fields)).json()["choices"][0]["message"]["content"])


def test_an_answer_ends_before_a_stop_string(app: FastAPI) -> None:
    whole = words(app, seed=3)
    third = whole.split()[2]
    for stop in (third, [third], ["nothing of the kind", third]):
        answer = ask(app, "POST", "/v1/chat/completions", json=chat(seed=3, stop=stop)).json()["choices"][0]
        assert (answer["message"]["content"], answer["finish_reason"]) == (whole[: whole.index(third)], "stop")
    assert words(app, seed=3, stop=[]) == words(app, seed=3, stop="") == whole


def test_a_seed_of_minus_one_is_none(app: FastAPI) -> None:
    assert words(app, seed=-1) != words(app, seed=-1)
    assert words(app, seed=3) == words(app, seed=3)


def test_conversations_matter_in_all_their_parts(app: FastAPI) -> None:
    parts = chat()["messages"][0]["content"]
    picture, question = parts
    variants: list[list[dict[str, Any]]] = [
        [{"role": "user", "content": "How many bars are there?"}],
        [{"role": "user", "content": [question]}, {"role": "assistant", "content": "3"}],
        [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}],
        [{"role": "developer", "content": "Be long."}, {"role": "user", "content": parts}],
        [{"role": "user", "content": [picture, picture, question]}],
        [{"role": "user", "content": [question, picture]}],
        [{"role": "user", "content": parts}],
        [
            {"role": "user", "content": parts},
            {"role": "assistant", "content": "3", "refusal": None, "tool_calls": None, "annotations": []},
            {"role": "user", "content": "Sure?"},
        ],
    ]
    assert len({words(app, seed=3, messages=messages) for messages in variants}) == len(variants)


def test_the_likeliest_tokens_are_named_where_asked(app: FastAPI) -> None:
    for stream in (False, True):
        answer = ask(app, "POST", "/v1/chat/completions", json=chat(logprobs=True, top_logprobs=2, stream=stream))
        assert answer.text.count('"top_logprobs":') == 32
