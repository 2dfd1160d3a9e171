"""Renders a model folder's chat template as the model services will, to see whether a prompt keeps its image.

The sandbox of Jinja gives a template neither files nor imports. What this leaves out: tokens.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from mstar.model_folder import read_json

WRITTEN = "chat_template.jinja"
IN_JSON = ("chat_template.json", "processor_config.json", "tokenizer_config.json")
"""Files that may hold the template as a text, the first that does counts."""
_GENERATION = re.compile(r"\{%-?\s*(end)?generation\s*-?%\}")
"""Marks what an assistant said, for training elsewhere; Jinja itself does not know it."""
_QUESTION = {"type": "text", "text": "How many?"}


def template_of(folder: Path) -> tuple[str, str] | None:
    """File and text of the folder's chat template; None: it has none. Raises InvalidInput for a damaged file."""
    if (folder / WRITTEN).is_file():
        return WRITTEN, (folder / WRITTEN).read_text(errors="replace")
    for name in IN_JSON:
        if (folder / name).is_file() and (found := read_json(folder, name).get("chat_template")):
            return name, _default(found)
    return None


def template_problem(folder: Path, name: str, template: str) -> str | None:
    """Why no prompt with an image can be made with a template from the file `name`; None: it can."""
    try:
        shown, plain = (_render(folder, template, parts) for parts in ([{"type": "image"}, _QUESTION], [_QUESTION]))
    except (TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
        return f"has a chat template in {name} that does not take an image and a text as parts of a message: {error}"
    if shown == plain:
        return f"has a chat template in {name} that drops the image: write the image token for parts of type 'image'"
    if _QUESTION["text"] not in plain:
        return f"has a chat template in {name} that drops the question: write the text of parts of type 'text'"
    return None


def _default(found: Any) -> str:
    """A template as text; several have names, and one of them is the default."""
    if isinstance(found, list):
        named = [one for one in found if isinstance(one, Mapping)]
        first = next((one for one in named if one.get("name") == "default"), named[0] if named else {})
        return str(first.get("template", ""))
    return found if isinstance(found, str) else json.dumps(found)


def _render(folder: Path, template: str, parts: list[dict[str, str]]) -> str:
    # As transformers renders it (utils/chat_template_utils.py).
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: "1 Jan 2026"}
    environment.filters["tojson"] = lambda value, **options: json.dumps(value, **{"ensure_ascii": False} | options)
    compiled = environment.from_string(_GENERATION.sub("", template))
    messages = [{"role": "user", "content": parts}]
    return compiled.render(
        messages=messages, tools=None, documents=None, add_generation_prompt=True, **_special_tokens(folder)
    )


def _special_tokens(folder: Path) -> dict[str, str]:
    """Name → text of the special tokens that a template may write, such as `bos_token`."""
    named = read_json(folder, "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    texts = {key: value.get("content") if isinstance(value, Mapping) else value for key, value in named.items()}
    return {key: text for key, text in texts.items() if key.endswith("_token") and isinstance(text, str)}


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
