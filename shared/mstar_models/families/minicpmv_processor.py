"""MiniCPM-V 4.6 and 4.7: processors without their video part, for which transformers' own ask while they are made."""

from typing import Any

from transformers import ProcessorMixin
from transformers.models.minicpmv4_6 import processing_minicpmv4_6 as of_4_6
from transformers.models.minicpmv4_7 import processing_minicpmv4_7 as of_4_7

EDGES = ("image_start", "image_end", "slice_start", "slice_end", "image_id_start", "image_id_end")


class _WithoutVideo:
    """What both set for images."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **kwargs: Any
    ) -> None:
        # Not theirs, which asks for the video processor; the rest of what it sets follows.
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template, **kwargs)
        self.slice_mode, self.default_use_image_id = image_processor.slice_mode, image_processor.use_image_id
        self.image_token_divisor = 4 if image_processor.downsample_mode == "4x" else 16
        self.image_token, self.image_token_id = tokenizer.image_token, tokenizer.image_token_id
        for edge in EDGES:
            setattr(self, f"{edge}_token", getattr(tokenizer, f"{edge}_token"))
        # What a sample of text is searched for beside images.
        self.video_token, self.video_token_id = tokenizer.video_token, tokenizer.video_token_id


class MiniCPMV4_6Processor(_WithoutVideo, of_4_6.MiniCPMV4_6Processor):  # type: ignore[misc]
    """Named as transformers' own, since folders name their processor."""


class MiniCPMV4_7Processor(_WithoutVideo, of_4_7.MiniCPMV4_7Processor):  # type: ignore[misc]
    """The same for 4.7."""
