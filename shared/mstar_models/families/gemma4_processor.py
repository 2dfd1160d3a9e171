"""Gemma 4: the processor for images and text alone.

transformers' own also wants a video processor and an audio feature extractor, and its module only imports beside
torchvision. This one makes the same prompt: an image is a row of `<|image|>` between a begin and an end.
"""

from typing import Any

from transformers import ProcessorMixin
from transformers.image_utils import make_nested_list_of_images
from transformers.processing_utils import ProcessingKwargs


class _Defaults(ProcessingKwargs, total=False):  # type: ignore[misc, call-arg]
    _defaults = {
        "text_kwargs": {"padding": False, "return_mm_token_type_ids": True},
        "images_kwargs": {"do_convert_rgb": True},
        "common_kwargs": {"return_tensors": "pt"},
    }


class Gemma4Processor(ProcessorMixin):  # type: ignore[misc]
    """Named as transformers' own, since folders name their processor."""

    valid_processor_kwargs = _Defaults

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        chat_template: str | None = None,
        image_seq_length: int = 280,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.image_seq_length = image_seq_length
        self.image_token, self.image_token_id = tokenizer.image_token, tokenizer.image_token_id
        self.boi_token, self.eoi_token = tokenizer.boi_token, tokenizer.eoi_token

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **kwargs: Any) -> str:
        """The tokens that stand for one image."""
        tokens = int(image_inputs["num_soft_tokens_per_image"][image_idx])
        return f"{self.boi_token}{self.image_token * tokens}{self.eoi_token}"

    def prepare_inputs_layout(self, images: Any = None, text: Any = None, **kwargs: Any) -> Any:
        """The image processor wants a list of images for each text."""
        images, text, *rest = super().prepare_inputs_layout(images=images, text=text, **kwargs)
        return None if images is None else make_nested_list_of_images(images), text, *rest

    @property
    def unused_input_names(self) -> list[str]:
        return ["num_soft_tokens_per_image"]

    @property
    def model_input_names(self) -> list[str]:
        return [*super().model_input_names, "mm_token_type_ids"]
