"""The first pretraining phase: vision tower and connector learn what stands where, before any sentence is read.

Each of the 16 image tokens is asked, through linear heads that are thrown away, which glyph stands in each of its four
patches, which shape or handwritten digit fills its cell, and which cell it is: the text model finds a token by what it
says of its place, since rotary positions only tell distances. Real vision towers come pretrained as well.
"""

import random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from minivista.canvas import GLYPHS, PATCH, Picture, rgb
from minivista.problems import FOREIGN, STANDARD, Problem
from minivista.splits import draws
from minivista.vqa import KINDS

CELLS = 4
"""Image tokens per side; a token covers 2 x 2 patches."""
CELL_NAMES = ["no", *KINDS, *map(str, range(10))]
UNKNOWN = -100
GLYPH_OFFSETS = (0, 1, 2)
"""Where in its patch a glyph may begin."""
BATCH = 64
RATE = 1e-3


def see(model: Any, steps: int, seed: int, foreign_share: float) -> None:
    """Train vision tower and connector in place; prints the loss every hundred steps."""
    width = model.config.text_config.hidden_size
    glyphs, cells = torch.nn.Linear(width, 4 * (len(GLYPHS) + 1)), torch.nn.Linear(width, len(CELL_NAMES))
    trained = [*model.model.vision_model.parameters(), *model.model.connector.parameters()]
    places = torch.nn.Linear(width, CELLS * CELLS)
    heads = [*glyphs.parameters(), *cells.parameters(), *places.parameters()]
    # [B * 16]
    place_labels = torch.arange(CELLS * CELLS).repeat(BATCH)
    optimizer = torch.optim.AdamW([*trained, *heads], lr=RATE, betas=(0.9, 0.98))
    rng = random.Random(seed)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 50)
        pixels, glyph_labels, cell_labels = _batch(rng, seed * 10_000_000 + step * BATCH, foreign_share)
        # [B * 16, hidden], token by token
        features = model.model.get_image_features(pixel_values=pixels).pooler_output.reshape(-1, width)
        loss = cross_entropy(glyphs(features).reshape(-1, len(GLYPHS) + 1), glyph_labels.reshape(-1))
        loss = loss + cross_entropy(cells(features), cell_labels.reshape(-1), ignore_index=UNKNOWN)
        loss = loss + cross_entropy(places(features), place_labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 100 == 99:
            print(f"seeing {step + 1}/{steps} loss {loss.item():.4f}", flush=True)


def _batch(rng: random.Random, first: int, foreign_share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Pixels [B, 1, 3, 64, 64], glyph labels [B, 16, 4], cell labels [B, 16]."""
    pixels, glyphs, cells = [], [], []
    for index in range(first, first + BATCH):
        problem, _ = next(draws("pretrain", index, FOREIGN if rng.random() < foreign_share else STANDARD))
        pixels.append(rgb(problem.picture))
        glyphs.append(glyphs_in(problem.picture))
        cells.append(cells_in(problem))
    images = torch.from_numpy(np.stack(pixels)).float().permute(0, 3, 1, 2).unsqueeze(1) / 127.5 - 1
    return images, torch.from_numpy(np.stack(glyphs)), torch.tensor(cells)


def glyphs_in(picture: Picture) -> NDArray[np.int64]:
    """Which glyph stands in each patch, 0 for none: shape [16 image tokens, 4 patches]."""
    # [64 patches, 8, 8], row by row
    patches = picture.reshape(8, PATCH, 8, PATCH).transpose(0, 2, 1, 3).reshape(64, PATCH, PATCH)
    known = np.stack(list(GLYPHS.values()))
    # [64 patches, glyphs]
    equal = np.zeros((64, len(known)), dtype=bool)
    for left in GLYPH_OFFSETS:
        # [64, 7, 5]: what differs from the patch's last pixel, which no glyph reaches and is paper.
        ink = patches[:, :7, left : left + 5] != patches[:, 7:, 7:]
        # [64 patches, glyphs]: every one of the 35 pixels agrees
        equal |= (ink[:, None] == known).all(axis=(2, 3))
    found = np.where(equal.any(axis=1), equal.argmax(axis=1) + 1, 0).reshape(8, 8)
    # [4, 4, 2, 2]: pixel shuffle makes a token of 2 x 2 patches.
    grouped = found.reshape(CELLS, 2, CELLS, 2).transpose(0, 2, 1, 3)
    return grouped.reshape(CELLS * CELLS, 4)


def cells_in(problem: Problem) -> list[int]:
    """What fills each of the 16 cells of a scene or of handwriting; unknown in other pictures."""
    if not problem.cells:
        return [UNKNOWN] * (CELLS * CELLS)
    return [CELL_NAMES.index(name) for name in problem.cells]
