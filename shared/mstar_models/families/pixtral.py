"""Pixtral and Mistral 3: the processor without torchvision.

transformers offers its own `PixtralProcessor` only beside torchvision, for one helper that counts tokens of images that
are not there. This one makes the same prompt: a row of `[IMG]` for each row of merged patches, `[IMG_BREAK]` between
two rows and `[IMG_END]` after the last.
"""

from typing import Any

from transformers import ProcessorMixin
from transformers.processing_utils import ProcessingKwargs

IMAGE, IMAGE_BREAK, IMAGE_END = "[IMG]", "[IMG_BREAK]", "[IMG_END]"


class _Defaults(ProcessingKwargs, total=False):  # type: ignore[misc, call-arg]
    _defaults = {"text_kwargs": {"padding": False}, "common_kwargs": {"return_tensors": "pt"}}


class PixtralProcessor(ProcessorMixin):  # type: ignore[misc]
    """Named as transformers' own, since folders name their processor."""

    valid_processor_kwargs = _Defaults

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: Any = None,
        patch_size: int = 16,
        spatial_merge_size: int = 1,
        chat_template: str | None = None,
        image_token: str = IMAGE,
        image_break_token: str = IMAGE_BREAK,
        image_end_token: str = IMAGE_END,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_processor, tokenizer, chat_template=chat_template)
        self.patch_size, self.spatial_merge_size = patch_size, spatial_merge_size
        self.image_token, self.image_break_token, self.image_end_token = image_token, image_break_token, image_end_token
        self.image_token_id, self.image_break_token_id, self.image_end_token_id = (
            tokenizer.convert_tokens_to_ids(token) for token in (image_token, image_break_token, image_end_token)
        )

    @property
    def image_token_ids(self) -> list[int]:
        return [self.image_token_id, self.image_break_token_id, self.image_end_token_id]

    def replace_image_token(self, image_inputs: dict[str, Any], image_idx: int, **kwargs: Any) -> str:
        """The tokens that stand for one image."""
        side = self.patch_size * self.spatial_merge_size
        height, width = (int(pixels) // side for pixels in image_inputs["image_sizes"][image_idx])
        # Rows of merged patches, as the tower joins `spatial_merge_size` patches a side to one token.
        return self.image_break_token.join([self.image_token * width] * height) + self.image_end_token

    def _process_images(self, images: Any, **images_kwargs: Any) -> Any:
        # Images are resized to whole merged patches.
        return super()._process_images(images, patch_size=self.patch_size * self.spatial_merge_size, **images_kwargs)

    @property
    def model_input_names(self) -> list[str]:
        return [*self.tokenizer.model_input_names, *self.image_processor.model_input_names, "image_sizes"]
