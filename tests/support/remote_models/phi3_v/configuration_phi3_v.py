"""A small model of the shape of Phi-3.5-vision: what a test writes into its folder."""

from transformers import LlamaConfig


class Phi3VConfig(LlamaConfig):
    model_type = "phi3_v"

    def __init__(self, vision_width=24, **kwargs):
        self.vision_width = vision_width
        super().__init__(**kwargs)
