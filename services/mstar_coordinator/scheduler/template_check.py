"""Renders a model folder's chat template as the model services will, to see whether a prompt keeps its image.

Rendering is done in a limited child process (`template_child`). What this leaves out: tokens.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from mstar.limited import child_environment
from mstar.model_folder import read_json
from mstar_coordinator.scheduler.template_child import QUESTION

WRITTEN = "chat_template.jinja"
HOLDERS = ("processor_config.json", "chat_template.json", WRITTEN, "tokenizer_config.json")
"""Files that may hold the template; the first that does counts, as for transformers' processors."""
SECONDS = 60.0
"""On the clock; the child itself ends after two seconds of work."""


def template_of(folder: Path) -> tuple[str, str] | None:
    """File and text of the folder's chat template; None: it has none. Raises InvalidInput for a damaged file."""
    for name in HOLDERS:
        if not (folder / name).is_file():
            continue
        if name == WRITTEN:
            return WRITTEN, (folder / WRITTEN).read_text(errors="replace")
        if found := read_json(folder, name).get("chat_template"):
            return name, _default(found)
    return None


def template_problem(folder: Path, name: str, template: str) -> str | None:
    """Why no prompt with an image can be made with a template from the file `name`; None: it can."""
    try:
        found = _rendered(template, tuple(sorted(_special_tokens(folder).items())))
    except (subprocess.TimeoutExpired, ValueError):
        found = {"error": "it takes more time or memory than a template needs"}
    if (error := found.get("error")) is not None:
        return f"has a chat template in {name} that does not take an image and a text as parts of a message: {error}"
    if found["shown"] == found["plain"]:
        return f"has a chat template in {name} that drops the image: write the image token for parts of type 'image'"
    if QUESTION["text"] not in found["plain"]:
        return f"has a chat template in {name} that drops the question: write the text of parts of type 'text'"
    return None


def _default(found: Any) -> str:
    """A template as text; several have names, and one of them is the default."""
    if isinstance(found, list):
        named = [one for one in found if isinstance(one, Mapping)]
        first = next((one for one in named if one.get("name") == "default"), named[0] if named else {})
        return str(first.get("template", ""))
    return found if isinstance(found, str) else json.dumps(found)


# The same template comes with every run on a model. Errors are not remembered: the machine may only have been busy.
@lru_cache(maxsize=64)
def _rendered(template: str, tokens: tuple[tuple[str, str], ...]) -> dict[str, str]:
    """What the child answers. Raises TimeoutExpired, and ValueError for a child that ended without an answer."""
    asked = json.dumps({"template": template, "tokens": dict(tokens)})
    command = [sys.executable, "-m", "mstar_coordinator.scheduler.template_child"]
    done = subprocess.run(
        command, input=asked, capture_output=True, text=True, timeout=SECONDS, env=child_environment(), check=False
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _special_tokens(folder: Path) -> dict[str, str]:
    """Name → text of the special tokens that a template may write, such as `bos_token`."""
    named = read_json(folder, "tokenizer_config.json") if (folder / "tokenizer_config.json").is_file() else {}
    texts = {key: value.get("content") if isinstance(value, Mapping) else value for key, value in named.items()}
    return {key: text for key, text in texts.items() if key.endswith("_token") and isinstance(text, str)}
