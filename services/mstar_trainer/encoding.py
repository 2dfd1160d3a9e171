"""From examples to padded tensors: prompt and image, then the response's segments, and the places that are scored.

Prompts never hold the reference answer, and special tokens are never made from a response's text: both come from
`mstar_models.encoding`, which policy and PRM use as well, so all of them see the same tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from mstar_artefacts.images import ImageStore
from mstar_models.encoding import EncodedPrompt, PromptEncoder, collate, encode_segments
from mstar_models.images import ImageGate
from mstar_models.loading import load_processor
from mstar_trainer.batches import Example
from mstar_trainer.loss import Batch


class ExampleEncoder:
    """Processor, image gate and image store of one model."""

    def __init__(self, model_folder: Path, home: Path) -> None:
        processor = load_processor(model_folder)
        self.tokenizer = processor.tokenizer
        self._prompts = PromptEncoder(processor)
        self._gate = ImageGate()
        self._images = ImageStore(home / ".mstar" / "images")

    def batch(self, examples: Sequence[Example], device: torch.device) -> Batch:
        """One micro-batch. Raises NotFound or InvalidImage for an image that can't be read."""
        encoded: list[tuple[EncodedPrompt, list[int]]] = []
        rows: list[int] = []
        columns: list[int] = []
        targets: list[float] = []
        for row, example in enumerate(examples):
            prompt = self._prompts.encode(example.prompt, self._gate.decode(self._images.get(example.image)))
            tokens, ends = encode_segments(self.tokenizer, example.segments)
            begin = len(prompt.input_ids)
            if example.labels:
                columns += [begin + end for end in ends]
                targets += example.labels
            else:
                tokens = [*tokens, self.tokenizer.eos_token_id]
                # The hidden state of a token predicts the next one, so the first prediction is the prompt's last token.
                columns += range(begin - 1, begin + len(tokens) - 1)
                targets += tokens
            rows += [row] * (len(columns) - len(rows))
            encoded.append((prompt, list(tokens)))
        kind = torch.float32 if examples[0].labels else torch.int64
        return Batch(
            inputs={name: tensor.to(device) for name, tensor in collate(encoded, "right").items()},
            rows=torch.tensor(rows, device=device),
            columns=torch.tensor(columns, device=device),
            targets=torch.tensor(targets, dtype=kind, device=device),
        )
