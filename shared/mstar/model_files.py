"""Which files of a model's folder are copied into artefacts and loaded from them: a list of what is allowed.

Weights in safetensors, configuration, tokenizer and chat template. Anything else may run code when it is loaded
(pickles, modules), lead to another folder (adapters), or be none of a run's business (keys, notes, hidden files).
"""

SUFFIXES = (".safetensors", ".json", ".jinja", ".txt", ".model", ".md")
NAMES = ("LICENSE", "NOTICE")
ADAPTER = "adapter_"
"""What names of an adapter's files begin with: its configuration names the folder of another model."""


def is_model_file(name: str) -> bool:
    """Whether a file of this name, without a folder, belongs to a model."""
    if name.startswith((".", ADAPTER)):
        return False
    return name in NAMES or name.endswith(SUFFIXES)
