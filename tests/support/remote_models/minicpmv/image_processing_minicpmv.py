import numpy as np
import torch
from transformers import BaseImageProcessor


class MiniCPMVImageProcessor(BaseImageProcessor):
    """An overview of 16 × 16 pixels, and two slices beside each other where an image is wider than high."""

    def __init__(self, patch_size=4, **kwargs):
        super().__init__(**kwargs)
        self.patch_size = patch_size

    def slices(self, image):
        whole = [image.resize((16, 16))]
        if image.width > image.height:
            half = image.width // 2
            boxes = ((0, 0, half, image.height), (half, 0, image.width, image.height))
            whole += [image.crop(box).resize((8, 16)) for box in boxes]
        return whole

    def patches(self, image):
        pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1).float() / 127.5 - 1
        patch = self.patch_size
        rows, columns = pixels.shape[1] // patch, pixels.shape[2] // patch
        cut = pixels.reshape(3, rows, patch, columns, patch).permute(0, 2, 1, 3, 4)
        return cut.reshape(3, patch, rows * columns * patch), (rows, columns)
