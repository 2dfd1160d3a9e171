"""The model that ships loads like any other, and is small."""

import io

import torch
from PIL import Image

from minivista import MODEL_FOLDER
from minivista.loader import load_split
from mstar_models.encoding import PromptEncoder, collate
from mstar_models.loading import load_model, load_processor


def test_it_is_small() -> None:
    assert (MODEL_FOLDER / "model.safetensors").stat().st_size <= 6_000_000


def test_it_loads_with_plain_transformers_and_reads_a_question() -> None:
    processor, model = load_processor(MODEL_FOLDER), load_model(MODEL_FOLDER)
    question, image = next(load_split("validation", 1))
    prompt = PromptEncoder(processor).encode(question.text, [Image.open(io.BytesIO(image)).convert("RGB")])
    image_id = processor.tokenizer.convert_tokens_to_ids("<image>")
    assert prompt.input_ids.count(image_id) == 16
    with torch.no_grad():
        logits = model(**collate([(prompt, [])], "left")).logits
    assert logits.shape == (1, len(prompt.input_ids), len(processor.tokenizer))
    assert torch.isfinite(logits).all()
