"""Handles a score request: cuts the responses, decodes the images, waits for a turn, scores, and names what failed.

Every route ends here, so all of them share one deadline, one order of callers and one way to report a bad response.
What this leaves out: bodies of requests and replies (`routes`), and tokens (the scorer).
"""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from PIL.Image import Image

from mstar.api.prm import Candidate, ItemError, RefusedCandidate, ScoredResponse, ScoredStep, ScoreReply, ScoreRequest
from mstar.errors import InvalidInput, NotFound, Unavailable
from mstar.layout import canonical_steps, scored_segments
from mstar.reward import RewardRule, aggregated
from mstar_artefacts.images import ImageStore
from mstar_models.images import CHILDREN, ImageGate, check_together
from mstar_models.spelling import cut
from mstar_models.vllm_host import all_or_none
from mstar_prm.scorer import Scorer, Segments, Texts, no_weights
from mstar_web.auth import caller_of
from mstar_web.fair_queue import FairQueue
from mstar_web.limits import until_gone
from mstar_web.quotas import spend, tokens_are_limited

MAX_SEGMENTS = 512
MODEL = "mstar-prm"
"""A name for whatever model is loaded, for clients that must send one."""
RETRY_AFTER_SECONDS = 5.0
SCORED_TOGETHER = 16
"""Requests that are encoded or scored at once. Enough to fill a batch; few enough that a caller's turn comes soon."""
PAIRS_TOGETHER = 8
"""Questions of one request that are worked on at once."""
WEIGHTS = "/v1/weights"
"""Below it nothing is scored."""
CUT_AT_ONCE = 20_000
"""Characters of a question's responses that are cut in less time than a change of threads takes others."""
WAITING = 256
"""Requests that may wait for a turn, half of them of one caller, before further ones get a 429."""

Images = tuple[Image, ...]
Result = TypeVar("Result")


@dataclass(frozen=True)
class _Scored:
    """What one question's request comes to."""

    reply: ScoreReply
    tokens: int
    """Of its prompt with each response; 0 where nobody asked for them."""


class Scoring:
    """Scores requests with one scorer, whatever route they came by."""

    def __init__(self, scorer: Scorer, gate: ImageGate, images: ImageStore, deadline_seconds: float) -> None:
        """`deadline_seconds`: from the moment the body is read to the last score."""
        self.scorer = scorer
        self._gate = gate
        self._images = images
        self._deadline_seconds = deadline_seconds
        # Decoding has its own turns: a request whose image is known must not queue behind large JPEGs of others.
        self._decoding = FairQueue(CHILDREN, waiting=WAITING, waiting_each=WAITING // 2)
        self._scoring = FairQueue(SCORED_TOGETHER, waiting=WAITING, waiting_each=WAITING // 2)

    def require_room(self, path: str, caller: str) -> None:
        """Raises TooManyRequests where a request to score could not even wait; asked before its body is read.

        Under overload most requests are refused, and reading each first would take the time that scores need.
        """
        if not path.startswith(WEIGHTS):
            self._scoring.require_room(caller)

    def require_model(self, name: str | None) -> None:
        """Raises NotFound for a model that is not the loaded one; None and MODEL stand for any."""
        state = self.scorer.weights()
        if state.ready and name not in (None, MODEL, state.model, state.weight_version):
            raise NotFound(f"the model {name[:100]!r} is not served; {MODEL} is the one that is", field="model")

    async def reply(self, request: ScoreRequest, http: Request) -> ScoreReply:
        """Scores of all responses; work whose caller disconnects is dropped before its turn.

        Raises Unavailable without weights or past the deadline, TooManyRequests, the errors of the images, and
        InvalidInput where no response can be scored.
        """
        return (await self._in_time(self._scores(request, caller_of(http.scope), count=False), http)).reply

    async def replies(self, requests: Sequence[ScoreRequest], http: Request) -> tuple[list[ScoreReply], int]:
        """The same for several questions of one request, and the tokens of all, as other servers report them.

        The deadline is one for all of them. When one fails, the others are given up.
        """
        # A few at a time: a request with 256 pairs must not take every place in the queues of decoding and scoring.
        free = asyncio.Semaphore(PAIRS_TOGETHER)
        caller = caller_of(http.scope)

        async def one(request: ScoreRequest) -> _Scored:
            async with free:
                return await self._scores(request, caller, count=True)

        found = await self._in_time(all_or_none(map(one, requests)), http)
        return [one.reply for one in found], sum(one.tokens for one in found)

    async def _in_time(self, work: Coroutine[Any, Any, Result], http: Request) -> Result:
        try:
            return await asyncio.wait_for(until_gone(http, work), self._deadline_seconds)
        except TimeoutError:
            detail = (
                f"not scored within {self._deadline_seconds:g} s: send this again later, or fewer responses at once"
            )
            raise Unavailable(detail, retry_after=RETRY_AFTER_SECONDS) from None

    async def _scores(self, request: ScoreRequest, caller: str, *, count: bool) -> _Scored:
        # Asked first: without weights, cutting and decoding would be work for nothing.
        state = self.scorer.weights()
        if not state.ready:
            raise no_weights()
        separator = request.step_separator or state.step_separator
        segments, refused = await _cut_aside(request.responses, separator)
        images = await self._decoded(request, caller)
        # Noted before the scoring, so that a request which fails or is given up has cost its images too.
        spend(images=len(images), megapixels=sum(one.width * one.height for one in images) / 1e6)
        async with self._scoring.turn(caller):
            version, scores = await self._scored(request, separator, images, segments, refused)
            # Counting takes the tokenizer's thread again, so it is done only for who asks or is limited.
            counted = count or tokens_are_limited()
            tokens = await self._tokens(request, separator, images, segments, scores) if counted else 0
            spend(tokens=tokens)
        rule = RewardRule(aggregate=request.aggregate, answer_block=request.answer_block)
        results = (
            _not_scored(place, refused[place])
            if place in refused
            else _result(place, segments[place], scores[place], rule)
            for place in range(len(request.responses))
        )
        reply = ScoreReply(model_version=version, aggregation=rule.aggregate.value, results=tuple(results))
        return _Scored(reply, tokens)

    async def _tokens(
        self,
        request: ScoreRequest,
        separator: str,
        images: Images,
        segments: dict[int, Texts],
        scored: Collection[int],
    ) -> int:
        own = [segments[place] for place in scored]
        return await self.scorer.count_tokens(request.question, images, own, request.system, separator)

    async def _decoded(self, request: ScoreRequest, caller: str) -> Images:
        # Images that are known never wait behind those that others have decoded.
        known = map(self._gate.recall, request.images)
        found = tuple(one for one in known if one is not None)
        if len(found) == len(request.images):
            check_together(found)
            return found
        async with self._decoding.turn(caller):
            return await run_in_threadpool(self._gate.resolve_all, request.images, self._images)

    async def _scored(
        self,
        request: ScoreRequest,
        separator: str,
        images: Images,
        segments: dict[int, Texts],
        refused: dict[int, InvalidInput],
    ) -> tuple[str, dict[int, tuple[float, ...]]]:
        """Scores by place. A response that the scorer refuses is noted in `refused`, and the others are scored."""
        while True:
            places = [place for place in segments if place not in refused]
            if not places:
                raise refused[min(refused)]
            vocabulary = self.scorer.weights().vocabulary
            asked = [_sampled(request.responses[place], vocabulary) or segments[place] for place in places]
            try:
                version, scores = await self.scorer.score(
                    request.question, images, asked, request.model_version, request.system, separator
                )
            except InvalidInput as error:
                # The scorer stops at the first that it refuses, so each round leaves one response out.
                # The scorer counts the responses that it was given; the caller counts those that it sent.
                own = (error.field or "").removeprefix("responses.")
                if not own.isdecimal():
                    raise
                place = places[int(own)]
                detail = error.detail.replace(f"response {own}", f"response {place}", 1)
                refused[place] = InvalidInput(detail, field=f"responses.{place}")
            else:
                return version, dict(zip(places, scores, strict=True))


def _sampled(candidate: Candidate, vocabulary: str) -> Segments:
    """Token ids of each step; empty where they were sampled with another vocabulary, or not at all."""
    tokens = candidate.tokens
    return tuple(cut(tokens.ids, tokens.ends)) if tokens and tokens.vocabulary == vocabulary else ()


async def _cut_aside(
    candidates: Sequence[Candidate], separator: str
) -> tuple[dict[int, Texts], dict[int, InvalidInput]]:
    """As `_cut`, beside the event loop where it would hold up other requests."""
    cutting = partial(_cut, candidates, separator)
    return cutting() if sum(map(_length, candidates)) <= CUT_AT_ONCE else await run_in_threadpool(cutting)


def _length(candidate: Candidate) -> int:
    """Characters."""
    if isinstance(candidate, RefusedCandidate):
        return 0
    return len(candidate.text or "") + sum(map(len, candidate.steps or ()))


def _cut(candidates: Sequence[Candidate], separator: str) -> tuple[dict[int, Texts], dict[int, InvalidInput]]:
    """By place: the segments of the responses that can be scored, and why the others can't."""
    segments: dict[int, Texts] = {}
    refused: dict[int, InvalidInput] = {}
    for place, candidate in enumerate(candidates):
        if isinstance(candidate, RefusedCandidate):
            field = f"responses.{place}.{candidate.field}".rstrip(".")
            refused[place] = InvalidInput(f"{field}: {candidate.detail}", field=field)
            continue
        steps, text = candidate.steps, candidate.text or ""
        found = canonical_steps(steps) if steps else scored_segments(text, separator)
        if not found or len(found) > MAX_SEGMENTS:
            detail = f"it has {len(found)} steps, but 1 to {MAX_SEGMENTS} can be scored"
            refused[place] = InvalidInput(f"response {place}: {detail}", field=f"responses.{place}")
        else:
            segments[place] = found
    return segments, refused


def _not_scored(place: int, error: InvalidInput) -> ScoredResponse:
    problem = ItemError(code=error.code, detail=error.detail, field=error.field or f"responses.{place}")
    return ScoredResponse(index=place, score=0.0, steps=(), error=problem)


def _result(place: int, segments: Texts, scores: tuple[float, ...], rule: RewardRule) -> ScoredResponse:
    steps = tuple(ScoredStep(text=text, score=score) for text, score in zip(segments, scores, strict=True))
    return ScoredResponse(index=place, score=aggregated(segments, scores, None, rule), steps=steps)
