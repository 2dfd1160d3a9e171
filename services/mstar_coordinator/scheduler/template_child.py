"""The child process that renders a chat template from outside: `python -m mstar_coordinator.scheduler.template_child`.

The sandbox of Jinja gives a template neither files nor imports, but any time and memory that loops in loops ask for;
so both are limited here. It reads `{"template": …, "tokens": {…}}` and writes `{"shown": …, "plain": …}`, or
`{"error": …}`.
"""

import json
import re
import sys
from collections.abc import Mapping
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mstar.limited import limit

MEMORY_BYTES = 1 << 29
CPU_SECONDS = 2
QUESTION = {"type": "text", "text": "How many?"}
_GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
"""Marks what an assistant said, for training elsewhere; Jinja itself does not know it."""


def main() -> None:
    """Render a message with an image and the same one without."""
    # Before the input is read, whose size counts as well.
    limit(MEMORY_BYTES, CPU_SECONDS)
    asked = json.load(sys.stdin)
    json.dump(_rendered(asked["template"], asked["tokens"]), sys.stdout)


def _rendered(template: str, tokens: Mapping[str, str]) -> dict[str, str]:
    try:
        shown, plain = (_render(template, tokens, parts) for parts in ([{"type": "image"}, QUESTION], [QUESTION]))
    except (TemplateError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        return {"error": " ".join(str(error).split())[:200]}
    except (MemoryError, RecursionError) as error:
        return {"error": type(error).__name__}
    return {"shown": shown, "plain": plain}


def _render(template: str, tokens: Mapping[str, str], parts: list[dict[str, str]]) -> str:
    # As transformers renders it (utils/chat_template_utils.py).
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: "1 Jan 2026"}
    environment.filters["tojson"] = _as_json
    compiled = environment.from_string(_GENERATION.sub("", template))
    messages = [{"role": "user", "content": parts}]
    return compiled.render(messages=messages, tools=None, documents=None, add_generation_prompt=True, **tokens)


def _as_json(value: Any, **options: Any) -> str:
    return json.dumps(value, **{"ensure_ascii": False} | options)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)


if __name__ == "__main__":
    main()
