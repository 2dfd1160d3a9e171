"""The probe that goes into every checkpoint: what the trainer's own forward pass says of the weights it writes.

It takes the way of a training batch, so what a service says beside it compares the service with the trainer.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from mstar.probes import Probe, ProbePlace
from mstar.types import SampledTokens
from mstar_models.encoding import encode_segments
from mstar_models.probing import NAMED, PLACES, QUESTION, STEPS, digest, picture
from mstar_models.special_tokens import never_sampled
from mstar_models.spelling import vocabulary_digest
from mstar_trainer.batches import Example
from mstar_trainer.deepspeed_engine import TrainingEngine
from mstar_trainer.encoding import ExampleEncoder, micro_batches

BUDGET = 1
"""One tree, however long."""
SHAPE = "wide"


def measure(engine: TrainingEngine, encoder: ExampleEncoder, objective: str) -> Probe:
    """The probe of the weights that the engine holds; all ranks must call it together."""
    vocabulary = vocabulary_digest(encoder.tokenizer)
    dtype = str(engine.model.dtype).removeprefix("torch.")
    if objective == "prm":
        labels = (0.0,) * len(STEPS)
        scores = read(engine, encoder, Example(QUESTION, (digest(SHAPE),), STEPS, labels), SHAPE)
        return Probe(dtype=dtype, vocabulary=vocabulary, scores=tuple(scores.tolist()))
    # A probe has a place before each of these tokens.
    ids = tuple(encode_segments(encoder.tokenizer, STEPS)[0][:PLACES])
    logits = read(engine, encoder, sampled(encoder, ids, SHAPE), SHAPE)
    return Probe(dtype=dtype, vocabulary=vocabulary, places=_places(ids, logprobs(encoder, logits)))


def sampled(encoder: ExampleEncoder, ids: Sequence[int], shape: str) -> Example:
    """The example of a response to the probe's question, as it would be trained on."""
    tokens = SampledTokens(ids=tuple(ids), ends=(len(ids),), vocabulary=vocabulary_digest(encoder.tokenizer))
    return Example(QUESTION, (digest(shape),), STEPS, tokens=tokens)


def read(engine: TrainingEngine, encoder: ExampleEncoder, example: Example, shape: str) -> Tensor:
    """What the model says of an example at its scored places: logits [P, V], or scores [P] of a reward model."""
    (batch,) = micro_batches([encoder.tree(example, [picture(shape)])], BUDGET, engine.device)
    return engine.read(batch).float().cpu()


def logprobs(encoder: ExampleEncoder, logits: Tensor) -> Tensor:
    """Log-probabilities [P, V] as the policy samples from them at temperature 1: without what it never samples."""
    never = never_sampled(encoder.tokenizer) - encoder.ends
    hidden = logits.index_fill(1, torch.tensor(sorted(never), dtype=torch.long), -torch.inf)
    return hidden.log_softmax(dim=1)


def _places(ids: Sequence[int], found: Tensor) -> tuple[ProbePlace, ...]:
    best, tokens = found.topk(NAMED, dim=1)
    likely = [tuple(zip(*pair, strict=True)) for pair in zip(tokens.tolist(), best.tolist(), strict=True)]
    return tuple(ProbePlace(before=tuple(ids[:place]), likely=one) for place, one in enumerate(likely))
