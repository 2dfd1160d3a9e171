"""Our requests in vLLM's terms: sampling parameters on the way in, responses and counted work on the way out."""

from collections.abc import Collection, Sequence
from typing import Any

from mstar.api.policy import Prompt, RolloutReply, RolloutRequest, Usage
from mstar.errors import Unavailable
from mstar.types import FinishReason, Response
from mstar_policy.engine import Delta, Heard
from mstar_policy.vllm_usage import Tally

SUPPRESSED_BIAS = -100.0
"""Added to the logits of tokens that must never be sampled."""


def parameters(
    prompt: Prompt, top_p: float, max_tokens: int, stop: Collection[int], suppressed: Collection[int], *, growing: bool
) -> Any:
    """SamplingParams of one prompt: all its samples at once, no special token.

    `growing`: outputs as the responses grow, each with all tokens so far; else one with whole responses.
    """
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    greedy = prompt.temperature == 0
    return SamplingParams(
        n=1 if greedy else prompt.n,
        temperature=prompt.temperature,
        top_p=1.0 if greedy else top_p,
        seed=None if greedy else prompt.seed,
        max_tokens=max_tokens,
        stop_token_ids=list(stop),
        logit_bias={token: SUPPRESSED_BIAS for token in suppressed if token not in stop},
        logprobs=0,
        detokenize=False,
        output_kind=RequestOutputKind.CUMULATIVE if growing else RequestOutputKind.FINAL_ONLY,
    )


class Ear:
    """Tells of growing outputs what is new in them."""

    def __init__(self, heard: Heard, prompt: Prompt) -> None:
        self._heard = heard
        # A greedy prompt is asked once, whatever its n.
        self._same = prompt.n if prompt.temperature == 0 else 1
        self._latest: dict[int, Any] = {}
        self._known: dict[int, int] = {}
        """Tokens of each sample that were told."""

    def grown(self, output: Any) -> Any:
        """The output with all samples so far, where vLLM only names those that grew."""
        for one in output.outputs:
            # vLLM adds to the list that an earlier output has, so its length then is kept apart.
            self._tell(one, self._known.get(one.index, 0))
            self._known[one.index] = len(one.token_ids)
            self._latest[one.index] = one
        output.outputs = [self._latest[index] for index in sorted(self._latest)]
        return output

    def _tell(self, one: Any, known: int) -> None:
        ids, logprobs = tuple(one.token_ids[known:]), _logprobs(one)[known:]
        reason = None if one.finish_reason is None else _finish_reason(one)
        if ids or reason is not None:
            for sample in range(self._same) if self._same > 1 else (one.index,):
                self._heard(Delta(sample, ids, logprobs, reason))


def require_version(output: Any, weight_version: str) -> None:
    """Raises Unavailable unless every token of an output was sampled from these weights, as the engine says."""
    spans = {span.version for one in output.outputs for span in one.weight_versions or ()}
    sampled = any(one.token_ids for one in output.outputs)
    if spans != ({weight_version} if sampled else set()):
        raise Unavailable(f"samples came from {sorted(spans)}, not from {weight_version} alone: ask again")


def reply(
    request: RolloutRequest,
    outputs: Sequence[Any],
    tallies: Sequence[Tally],
    weight_version: str,
    tokenizer: Any,
    stop: Collection[int],
) -> RolloutReply:
    """The reply to a request, from the finished output of each of its prompts and what it took."""
    # A greedy prompt was asked once, whatever its n.
    drawn = [
        output.outputs * prompt.n if prompt.temperature == 0 else sorted(output.outputs, key=lambda one: one.index)
        for prompt, output in zip(request.prompts, outputs, strict=True)
    ]
    samples = tuple(tuple(_response(one, tokenizer, stop) for one in own) for own in drawn)
    logprobs = tuple(tuple(_logprobs(one) for one in own) for own in drawn) if request.logprobs else None
    # Prompts of one image that start together are one run of the vision tower.
    looked_at = {prompt.image for prompt, tally in zip(request.prompts, tallies, strict=True) if tally.from_scratch}
    usage = Usage(
        prompt_tokens=sum(tally.computed for tally in tallies),
        completion_tokens=sum(len(response.token_ids) for responses in samples for response in responses),
        images_encoded=len(looked_at),
    )
    return RolloutReply(weight_version=weight_version, samples=samples, token_logprobs=logprobs, usage=usage)


def _response(one: Any, tokenizer: Any, stop: Collection[int]) -> Response:
    ids = tuple(one.token_ids)
    reason = _finish_reason(one)
    text = tokenizer.decode(ids[:-1] if reason is FinishReason.STOP and ids and ids[-1] in stop else ids)
    return Response(
        text=text,
        token_ids=ids,
        logprob=float(one.cumulative_logprob or 0.0),
        finish_reason=reason,
    )


def _finish_reason(one: Any) -> FinishReason:
    return FinishReason.STOP if one.finish_reason == "stop" else FinishReason.LENGTH


def _logprobs(one: Any) -> tuple[float, ...]:
    return tuple(float(found[token].logprob) for token, found in zip(one.token_ids, one.logprobs, strict=True))
