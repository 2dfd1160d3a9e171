"""Heads that PRMs have on top of a trunk, read from the folder's safetensors by name and shape.

transformers has no class for most of them, and the code that comes with a folder is never run.
"""

from itertools import pairwise
from pathlib import Path

from safetensors import safe_open
from torch import Tensor, nn

from mstar.errors import InvalidInput
from mstar.prm_schemes import HEADS, head_name


def read_head(folder: Path, hidden: int, outputs: int) -> nn.Module:
    """From hidden states [P, hidden] to [P, outputs], in float32: one linear layer, or several with ReLU between.

    Raises InvalidInput for a folder without a head, or one of another shape.
    """
    tensors = _tensors(folder)
    # Numbered layers (score.0, score.2) sort in their order; the gap is the ReLU, which has no tensor.
    layers = [_linear(tensors, name) for name in sorted({key.rpartition(".")[0] for key in tensors})]
    if not layers:
        raise InvalidInput(
            f"model folder {folder.name} has no head for steps: none of its tensors is named {', '.join(HEADS)}; take "
            "a PRM's folder, or declare another scheme in prm_scheme.json",
            field="model",
        )
    shapes = [(layer.in_features, layer.out_features) for layer in layers]
    inner = all(left[1] == right[0] for left, right in pairwise(shapes))
    if not inner or shapes[0][0] != hidden or shapes[-1][1] != outputs:
        raise InvalidInput(
            f"model folder {folder.name} has a head of shapes {shapes}, and its scheme needs one from {hidden} to "
            f"{outputs}: declare the scheme that fits in prm_scheme.json",
            field="model",
        )
    between = [part for layer in layers[:-1] for part in (layer, nn.ReLU())]
    return nn.Sequential(*between, layers[-1]).eval()


def _tensors(folder: Path) -> dict[str, Tensor]:
    """The head's tensors, by their names after the head's own: weights [outputs, inputs] and biases [outputs]."""
    found: dict[str, dict[str, Tensor]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as stored:
            for key in stored.keys():  # noqa: SIM118 - no mapping
                place = head_name(key)
                if place is not None:
                    name, rest = place
                    # In float32: a head has few rows, so that halves save nothing.
                    found.setdefault(name, {})[rest] = stored.get_tensor(key).float()
    return next((found[name] for name in HEADS if name in found), {})


def _linear(tensors: dict[str, Tensor], name: str) -> nn.Linear:
    prefix = f"{name}." if name else ""
    weight, bias = tensors.get(f"{prefix}weight"), tensors.get(f"{prefix}bias")
    if weight is None or weight.dim() != 2:
        raise InvalidInput(f"the head for steps has no matrix {prefix}weight: it is not a linear layer", field="model")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    layer.load_state_dict({"weight": weight} if bias is None else {"weight": weight, "bias": bias})
    return layer
