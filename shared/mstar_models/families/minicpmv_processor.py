"""MiniCPM-V 4.6: the processor without its video part, for which transformers' own asks while it is made."""

from typing import Any

from transformers import ProcessorMixin
from transformers.models.minicpmv4_6 import processing_minicpmv4_6 as theirs


class MiniCPMV4_6Processor(theirs.MiniCPMV4_6Processor):  # type: ignore[misc]
    """Named as transformers' own, since folders name their processor."""

    def __init__(
        self, image_processor: Any = None, tokenizer: Any = None, chat_template: str | None = None, **kwargs: Any
    ) -> None:
        # Not theirs, which asks for the video processor; the rest of what it sets follows.
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template, **kwargs)
        self.slice_mode, self.default_use_image_id = image_processor.slice_mode, image_processor.use_image_id
        self.image_token_divisor = 4 if image_processor.downsample_mode == "4x" else 16
        self.image_token, self.image_token_id = tokenizer.image_token, tokenizer.image_token_id
        for edge in ("image_start", "image_end", "slice_start", "slice_end", "image_id_start", "image_id_end"):
            setattr(self, f"{edge}_token", getattr(tokenizer, f"{edge}_token"))
        # What a sample of text is searched for beside images.
        self.video_token, self.video_token_id = tokenizer.video_token, tokenizer.video_token_id
