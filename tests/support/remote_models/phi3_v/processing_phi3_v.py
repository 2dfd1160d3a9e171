import re

import torch

MARK = re.compile(r"<\|image_(\d+)\|>")


class Phi3VProcessor:
    def __init__(self, image_processor=None, tokenizer=None):
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(self, text, images, return_tensors="pt"):
        values = self.image_processor.preprocess(images)
        ids = []
        for place, part in enumerate(MARK.split(text)):
            if place % 2:
                height, width = values["image_sizes"][int(part) - 1].tolist()
                ids += [-int(part)] * 4 * (1 + height * width // 64)
            elif part:
                ids += self.tokenizer(part)["input_ids"]
        return {"input_ids": torch.tensor([ids]), **values}
