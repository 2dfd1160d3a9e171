import numpy as np
import torch
from transformers import BaseImageProcessor

SIDE = 8
CROPS = 2


class Phi3VImageProcessor(BaseImageProcessor):
    """An overview and up to two crops beside each other, filled up with zeros."""

    def preprocess(self, images, **kwargs):
        pixels, sizes = [], []
        for image in images:
            count = CROPS if image.width > image.height else 1
            row = self.as_tensor(image.resize((SIDE * count, SIDE)))
            crops = [self.as_tensor(image.resize((SIDE, SIDE))), *row.split(SIDE, dim=2)]
            crops += [torch.zeros(3, SIDE, SIDE)] * (1 + CROPS - len(crops))
            pixels.append(torch.stack(crops))
            sizes.append((SIDE, SIDE * count))
        return {"pixel_values": torch.stack(pixels), "image_sizes": torch.tensor(sizes)}

    def as_tensor(self, image):
        return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1
