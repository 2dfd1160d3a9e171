"""A small model of the shape of MiniCPM-Llama3-V-2.5: what a test writes into its folder."""

from transformers import LlamaConfig


class MiniCPMVConfig(LlamaConfig):
    model_type = "minicpmv"

    def __init__(self, query_num=4, vision_width=24, patch_size=4, **kwargs):
        self.query_num, self.vision_width, self.patch_size = query_num, vision_width, patch_size
        super().__init__(**kwargs)
