"""M-STaR: self-evolving training for multimodal reasoning (arXiv 2412.17451), the light package.

Pure rules, wire types, errors, client and command line. Nothing here imports torch. The public names below are imported
when they are first used, so that a service which only needs the rules does without the client's HTTP library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mstar.api.prm import Candidate, ScoreReply, ScoreRequest
    from mstar.api.runs import Run, RunCreate
    from mstar.client import AsyncClient, Client, Endpoint
    from mstar.errors import MstarError
    from mstar.recipes import Recipe, parse_recipe, parse_recipe_yaml
    from mstar.types import Answer, Question, Response, Verdict

__all__ = [
    "Answer",
    "AsyncClient",
    "Candidate",
    "Client",
    "Endpoint",
    "MstarError",
    "Question",
    "Recipe",
    "Response",
    "Run",
    "RunCreate",
    "ScoreReply",
    "ScoreRequest",
    "Verdict",
    "parse_recipe",
    "parse_recipe_yaml",
]
_HOMES = {
    "mstar.api.prm": ("Candidate", "ScoreReply", "ScoreRequest"),
    "mstar.api.runs": ("Run", "RunCreate"),
    "mstar.client": ("AsyncClient", "Client", "Endpoint"),
    "mstar.errors": ("MstarError",),
    "mstar.recipes": ("Recipe", "parse_recipe", "parse_recipe_yaml"),
    "mstar.types": ("Answer", "Question", "Response", "Verdict"),
}


def __getattr__(name: str) -> Any:
    """A public name from the module that has it (PEP 562). Raises AttributeError."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'mstar' has no attribute {name!r}")
