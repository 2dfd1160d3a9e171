"""The study's base model loads like any other, is small, and judges as it was taught."""

import io

import torch
from PIL import Image

from minivista.study import MODEL_FOLDER
from minivista.study.loader import load_split
from mstar_models.encoding import PromptEncoder, collate, encode_segments
from mstar_models.loading import load_model, load_processor


def test_it_is_small_and_plain() -> None:
    assert (MODEL_FOLDER / "model.safetensors").stat().st_size <= 1_200_000
    assert not list(MODEL_FOLDER.glob("*.py"))


def test_it_believes_true_readings_more_than_wrong_ones() -> None:
    processor, model = load_processor(MODEL_FOLDER), load_model(MODEL_FOLDER)
    encoder, tokenizer = PromptEncoder(processor), processor.tokenizer
    good, bad = (tokenizer.convert_tokens_to_ids(token) for token in ("<good>", "<bad>"))
    rows, true = [], []
    for question, image in load_split("validation", 40):
        prompt = encoder.encode(question.text, [Image.open(io.BytesIO(image)).convert("RGB")])
        name, _, value = question.gold_steps[0].split(" ")
        for shown in (int(value), (int(value) + 3) % 10):
            ids, ends = encode_segments(tokenizer, [f"{name} is {shown}", "3 ^ 4 = 4"])
            # A step is judged where it ends, which is after the blank line.
            rows.append((prompt, ids[: ends[0]]))
            true.append(shown == int(value))
    with torch.no_grad():
        logits = model(**collate(rows, "left")).logits[:, -1]
    belief = (logits[:, good] - logits[:, bad]).sigmoid()
    is_true = torch.tensor(true)
    assert belief[is_true].mean() > belief[~is_true].mean() + 0.3
    assert (belief[is_true] > belief[~is_true]).float().mean() > 0.8
