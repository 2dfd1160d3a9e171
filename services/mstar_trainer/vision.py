"""Caches the outputs of a frozen vision tower: they never change for an image, so each is computed once.

It works for every architecture whose pixel tensors and tower outputs have one image after another on their first axis
(tiles of LLaVA and Idefics3, patches of Qwen2-VL), which is how batches are made (`mstar_models.encoding`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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
        fresh: dict[Key, Output] = {}
        for alike in _alike(picture for picture in images if picture[0] not in self._kept):
            fresh |= self._outputs(alike)
        self._serve = _joined([self._kept.get(image) or fresh[image] for image, _ in images])
        try:
            yield
        finally:
            self._serve = None

    def _outputs(self, alike: Mapping[Key, Pixels]) -> dict[Key, Output]:
        """Outputs of the tower for images of one shape, computed in one pass."""
        pixels = {
            key: torch.cat([one[key] for one in alike.values()]).to(self._model.device)
            for key in next(iter(alike.values()))
        }
        pixels = {key: t.to(self._model.dtype) if t.is_floating_point() else t for key, t in pixels.items()}
        # `train()` of the whole model reaches the tower too, and outputs with dropout are not worth keeping.
        self._tower.eval()
        with torch.no_grad():
            # This runs the connector in vain, but only the model knows how pixels reach its tower. Mllama, whose
            # images are not part of the text, gives them to the tower as they are.
            getattr(self._model, "get_image_features", self._tower)(**pixels)
        self.computed += len(alike)
        fresh = dict(zip(alike, _split(self._made, len(alike)), strict=True))
        for image, output in fresh.items():
            size = sum(tensor.nbytes for tensor in _tensors(output))
            if size <= self._room:
                self._room -= size
                self._kept[image] = output
        return fresh

    def _forward(self, *args: Any, **kwargs: Any) -> Any:
        if self._serve is not None:
            return self._kind(**self._serve)
        made = self._compute(*args, **kwargs)
        self._kind, self._made = type(made), dict(made)
        return made


def _alike(pictures: Iterable[Picture]) -> list[dict[Key, Pixels]]:
    """Distinct images by the shapes of their tensors; several of one prompt are alone.

    Padding may make two sets of images alike in shape whose outputs differ in size.
    """
    shapes: dict[Any, dict[Key, Pixels]] = {}
    for images, pixels in pictures:
        kind = tuple(tensor.shape for tensor in pixels.values()) if len(images) == 1 else images
        shapes.setdefault(kind, {})[images] = pixels
    return list(shapes.values())


def _tensors(output: Output) -> Iterator[Tensor]:
    for value in output.values():
        yield from (value,) if isinstance(value, Tensor) else value or ()


def _split(output: Output, count: int) -> list[Output]:
    """Split the output of `count` images of one shape into copies: views would keep the whole tensor in memory."""

    def part(value: Any, place: int) -> Any:
        if isinstance(value, Tensor):
            return value.chunk(count)[place].clone()
        return value and tuple(part(one, place) for one in value)

    return [{key: part(value, place) for key, value in output.items()} for place in range(count)]


def _joined(outputs: Sequence[Output]) -> Output:
    """Concatenate the outputs of several images on their first axis."""

    def join(values: Sequence[Any]) -> Any:
        if isinstance(values[0], Tensor):
            return torch.cat(list(values))
        return values[0] and tuple(join(layer) for layer in zip(*values, strict=True))

    return {key: join([output[key] for output in outputs]) for key in outputs[0]}
