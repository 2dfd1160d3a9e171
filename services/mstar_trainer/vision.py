"""Caches the outputs of a frozen vision tower: they never change for an image, so each is computed once.

It works for every architecture whose pixel tensors and tower outputs have one image after another on their first axis
(tiles of LLaVA and Idefics3, patches of Qwen2-VL), which is how batches are made (`mstar_models.encoding`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mstar.types import Sha256

ROOM = 2**31
"""Bytes of outputs that are kept; what does not fit is computed each time.

Nothing is evicted: every pass goes over all rows, so making room for the newest would drop what is needed next."""

Key = tuple[Sha256, ...]
Pixels = Mapping[str, Tensor]
"""Tensors [tiles or patches, ...] of one prompt's images from the processor; batches join them on the first axis."""
Picture = tuple[Key, Pixels]
"""The images of one prompt, which the processor takes together."""
Output = dict[str, Any]
"""Fields of a tower's output: each a tensor, images on its first axis, a tuple of such tensors, or None."""


class FrozenTower:
    """Replaces the forward pass of a tower that does not train by one with a cache."""

    def __init__(self, model: Any, tower: nn.Module, room: int = ROOM) -> None:
        """`tower`: that of `model`, frozen; `room`: bytes of outputs to keep."""
        self.computed = 0
        """Images that the tower has encoded."""
        self._model = model
        self._tower = tower
        self._compute: Callable[..., Any] = tower.forward
        self._room = room
        self._kept: dict[Key, Output] = {}
        self._kind: type[Any] = dict
        self._serve: Output | None = None
        self._made: Output = {}
        # On the instance, so that the model's own code still calls the tower and need not know of the cache.
        tower.forward = self._forward

    @contextmanager
    def serving(self, images: Sequence[Picture]) -> Iterator[None]:
        """While entered, the tower returns its outputs for these images, which the model gets in this order."""
        self._serve = _joined([self._kept.get(key) or self._output(key, pixels) for key, pixels in images])
        try:
            yield
        finally:
            self._serve = None

    def _output(self, key: Key, pixels: Pixels) -> Output:
        """Output of the tower for the images of one prompt, which are kept if there is room.

        Alone, since the numbers of a pass hang on its shape in the last bits: in a batch they would hang on which
        images were known already, and a training that is resumed knows none.
        """
        pixels = {name: t.to(self._model.device) for name, t in pixels.items()}
        pixels = {name: t.to(self._model.dtype) if t.is_floating_point() else t for name, t in pixels.items()}
        # `train()` of the whole model reaches the tower too, and outputs with dropout are not worth keeping.
        self._tower.eval()
        with torch.no_grad():
            # This runs the connector in vain, but only the model knows how pixels reach its tower. Mllama, whose
            # images are not part of the text, gives them to the tower as they are.
            getattr(self._model, "get_image_features", self._tower)(**pixels)
        self.computed += 1
        output = self._made
        size = sum(tensor.nbytes for tensor in _tensors(output))
        if size <= self._room:
            self._room -= size
            self._kept[key] = output
        return output

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._serve is not None:
            return self._kind(**self._serve)
        made = self._compute(*args, **kwargs)
        self._kind, self._made = type(made), dict(made)
        return made


def _tensors(output: Output) -> Iterator[Tensor]:
    for value in output.values():
        yield from (value,) if isinstance(value, Tensor) else value or ()


def _joined(outputs: Sequence[Output]) -> Output:
    """Concatenate the outputs of several images on their first axis."""

    def join(values: Sequence[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.cat(list(values))
        return values[0] and tuple(join(layer) for layer in zip(*values, strict=True))

    return {key: join([output[key] for output in outputs]) for key in outputs[0]}
