"""Translates requests to vLLM's sampling parameters, and its outputs to responses and token counts."""

import math
from collections.abc import Collection, Sequence
from typing import Any

from mstar.api.policy import Usage
from mstar.errors import Unavailable
from mstar.types import FinishReason, Response
from mstar_models.image_places import images_encoded
from mstar_policy.engine import Delta, EnginePrompt, Generation, Likely, SamplingRequest, TokenCallback
from mstar_policy.text import Vocabulary, text_of
from mstar_policy.vllm_usage import Tally

SUPPRESSED_BIAS = -100.0
"""Added to the logits of tokens that must never be sampled."""


def parameters(
    prompt: EnginePrompt, request: SamplingRequest, ends: Collection[int], suppressed: Collection[int], *, growing: bool
) -> Any:
    """SamplingParams for all samples of one prompt, with special tokens suppressed.

    `growing`: vLLM gives an output after every step, with all tokens so far; else a single one at the end.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    greedy = prompt.temperature == 0
    # Tokens that end a turn are special too, and must be sampled unless the caller wants no end.
    never = set(suppressed) | set(ends) if request.ignore_eos else set(suppressed) - set(ends)
    return SamplingParams(
        n=1 if greedy else prompt.n,
        temperature=prompt.temperature,
        top_p=1.0 if greedy else request.top_p,
        seed=None if greedy else prompt.seed,
        max_tokens=request.max_tokens,
        stop=list(request.stop),
        stop_token_ids=[] if request.ignore_eos else list(ends),
        ignore_eos=request.ignore_eos,
        logit_bias=dict.fromkeys(sorted(never), SUPPRESSED_BIAS),
        # 0 still gives the log-probability of the sampled token, which every reply has.
        logprobs=request.top_logprobs,
        # vLLM looks for stop strings in the text that it decodes itself.
        detokenize=bool(request.stop),
        output_kind=RequestOutputKind.CUMULATIVE if growing else RequestOutputKind.FINAL_ONLY,
    )


class GrowingOutputs:
    """Reports the new tokens of growing outputs."""

    def __init__(self, on_tokens: TokenCallback, prompt: EnginePrompt, top_logprobs: int) -> None:
        self._on_tokens = on_tokens
        self._top_logprobs = top_logprobs
        # A greedy prompt is sampled once, whatever its n.
        self._same = prompt.n if prompt.temperature == 0 else 1
        self._latest: dict[int, Any] = {}
        self._known: dict[int, int] = {}
        """Tokens of each sample that were reported."""

    def grown(self, output: Any) -> Any:
        """Report new tokens, and return the output with all samples: vLLM includes only those that grew."""
        for one in output.outputs:
            # vLLM extends the same list that an earlier output holds, so the length at that time is stored.
            self._report(one, self._known.get(one.index, 0))
            self._known[one.index] = len(one.token_ids)
            self._latest[one.index] = one
        output.outputs = [self._latest[index] for index in sorted(self._latest)]
        return output

    def _report(self, one: Any, known: int) -> None:
        ids, logprobs = tuple(one.token_ids[known:]), _logprobs(one)[known:]
        likely = _likely(one, self._top_logprobs)[known:] if self._top_logprobs else ()
        reason = None if one.finish_reason is None else _finish_reason(one)
        if ids or reason is not None:
            for sample in range(self._same) if self._same > 1 else (one.index,):
                self._on_tokens(Delta(sample, ids, logprobs, reason, likely))


def require_version(output: Any, weight_version: str) -> None:
    """Raise Unavailable unless the engine reports that every token was sampled from these weights."""
    # vLLM notes with which version it sampled each token, so a swap in the middle of a request shows here.
    spans = {span.version for one in output.outputs for span in one.weight_versions or ()}
    sampled = any(one.token_ids for one in output.outputs)
    if spans != ({weight_version} if sampled else set()):
        raise Unavailable(f"samples came from {sorted(spans)}, not only from {weight_version}: ask again")


def reply(
    request: SamplingRequest,
    outputs: Sequence[Any],
    tallies: Sequence[Tally],
    weight_version: str,
    vocabulary: Vocabulary,
    image_token: int | None,
) -> Generation:
    """The reply to a request, from the finished output of each prompt and its token counts."""
    # A greedy prompt was sampled once, whatever its n.
    drawn = [
        output.outputs * prompt.n if prompt.temperature == 0 else sorted(output.outputs, key=lambda one: one.index)
        for prompt, output in zip(request.prompts, outputs, strict=True)
    ]
    samples = tuple(tuple(_response(one, vocabulary, request.stop) for one in own) for own in drawn)
    # Prompts with the same image that start together share one run of the vision tower.
    looked_at = {
        id(prompt.images[number])
        for prompt, output, tally in zip(request.prompts, outputs, tallies, strict=True)
        if tally.least_cached is not None
        for number in images_encoded(output.prompt_token_ids, image_token, len(prompt.images), tally.least_cached)
    }
    usage = Usage(
        prompt_tokens=sum(tally.computed for tally in tallies),
        completion_tokens=sum(len(response.token_ids) for responses in samples for response in responses),
        images_encoded=len(looked_at),
    )
    top = request.top_logprobs
    return Generation(
        weight_version=weight_version,
        samples=samples,
        token_logprobs=tuple(tuple(_logprobs(one) for one in own) for own in drawn),
        likely=tuple(tuple(_likely(one, top) for one in own) for own in drawn) if top else (),
        usage=usage,
        vocabulary=vocabulary,
    )


def _response(one: Any, vocabulary: Vocabulary, stops: Sequence[str]) -> Response:
    return Response(
        text=text_of(vocabulary, one.token_ids, stops),
        token_ids=tuple(one.token_ids),
        logprob=float(one.cumulative_logprob or 0.0),
        finish_reason=_finish_reason(one),
    )


def _likely(one: Any, count: int) -> tuple[Likely, ...]:
    """The most likely tokens at each place.

    vLLM lists the sampled one as well, and tokens outside the nucleus with minus infinity.
    """
    return tuple(
        tuple(
            (token, float(entry.logprob))
            for token, entry in sorted(found.items(), key=lambda pair: -pair[1].logprob)[:count]
            if entry.logprob > -math.inf
        )
        for found in one.logprobs
    )


def _finish_reason(one: Any) -> FinishReason:
    return FinishReason.STOP if one.finish_reason == "stop" else FinishReason.LENGTH


def _logprobs(one: Any) -> tuple[float, ...]:
    return tuple(float(found[token].logprob) for token, found in zip(one.token_ids, one.logprobs, strict=True))
