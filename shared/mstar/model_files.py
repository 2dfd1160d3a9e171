"""Which files of a model folder are copied into artefacts and loaded from them: an allow-list.

Weights in safetensors, configuration, tokenizer and chat template. Anything else may run code when it is loaded
(pickles, modules), lead to another folder (adapters), or be none of a run's business (keys, notes, hidden files).
"""

from pathlib import PurePath

SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")
NAMES = ("LICENSE", "NOTICE")
_HUB = "models--"
"""What a folder of the hub's cache begins with; its snapshots are named after commits."""
ADAPTER = "adapter_"
"""What names of an adapter's files begin with: its configuration names the folder of another model."""


def is_model_file(name: str) -> bool:
    """Whether a file of this name, without a folder, belongs to a model."""
    if name.startswith((".", ADAPTER)):
        return False
    return name in NAMES or name.endswith(SUFFIXES)


def source_name(source: str) -> str:
    """The own name of a model or data set, for cards: never the path at which it lay.

    `/data/Qwen2.5-VL-3B` → `Qwen2.5-VL-3B`; a snapshot in the hub's cache → `Qwen/Qwen2.5-VL-3B`.
    """
    parts = PurePath(source).parts
    # `models--Qwen--Qwen2.5-VL-3B/snapshots/<commit>`: the last part would be a commit, which says nothing to a reader.
    cached = next((part for part in parts if part.startswith((_HUB, "datasets--"))), None)
    if cached is not None:
        return "/".join(cached.split("--")[1:])
    return parts[-1] if parts else source
