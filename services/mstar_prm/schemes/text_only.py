"""A tokenizer in the form of a processor, for PRMs that read the question's text and no image."""

from collections.abc import Sequence
from typing import Any

from mstar_models.chat import fixed_day


class TextProcessor:
    """What `PromptEncoder` asks of a processor, over a tokenizer alone."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.chat_template = tokenizer.chat_template

    def apply_chat_template(self, messages: Sequence[dict[str, Any]], *, add_generation_prompt: bool) -> str:
        """Text of messages, whose contents are lists of text parts."""
        # Templates of text models expect a string where those of vision models take parts.
        plain = [one | {"content": "".join(part["text"] for part in one["content"])} for one in messages]
        made = self.tokenizer.apply_chat_template(
            plain, add_generation_prompt=add_generation_prompt, tokenize=False, **fixed_day(self.chat_template)
        )
        return str(made)

    def __call__(self, text: str, **options: Any) -> Any:
        """Token ids of a prompt."""
        # A list, so that `input_ids` has a row for the prompt as a processor's has: [1, T].
        return self.tokenizer([text], **options)
