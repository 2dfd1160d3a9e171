"""Translates requests in the shapes of other servers to our own, and our answers back.

Their shapes have no place for one document's error, so that a document that can't be scored fails its request.
"""

import time
import uuid
from collections.abc import Sequence

from fastapi import Request
from fastapi.concurrency import run_in_threadpool

from mstar.api.prm import ScoredResponse, ScoreReply
from mstar.api.ranking import (
    PairScore,
    PairsReply,
    PairsRequest,
    Pooled,
    PoolingReply,
    Ranked,
    RankedDocument,
    RankReply,
    RankRequest,
    ScoringUsage,
)
from mstar.errors import InvalidInput
from mstar_prm.scoring import Scoring


def best_first(results: Sequence[ScoredResponse]) -> list[ScoredResponse]:
    """Highest score first, equal scores in their order, and what was not scored last."""
    # Python's sort is stable, also for equal scores.
    return sorted(results, key=lambda result: (result.error is not None, -result.score))


def rank_reply(request: RankRequest, reply: ScoreReply, tokens: int) -> RankReply:
    """Cohere's and Jina's answer. Raises InvalidInput for a document that was not scored."""
    # vLLM's `top_n` of 0 asks for all.
    best = best_first(_scored([reply]))[: request.top_n or None]
    results = [
        Ranked(
            index=one.index,
            relevance_score=one.score,
            document=RankedDocument(text=request.documents[one.index].text) if request.return_documents else None,
        )
        for one in best
    ]
    name = f"rerank-{uuid.uuid4().hex}"
    return RankReply(id=name, model=reply.model_version, results=results, usage=_usage(tokens))


async def pair_replies(scoring: Scoring, request: PairsRequest, http: Request) -> tuple[list[ScoreReply], int]:
    """Our replies to a request for pairs, one for a query with all documents, else one a pair; and their tokens.

    Raises NotFound for a model that is not served, and what `Scoring.replies` raises.
    """
    scoring.require_model(request.model)
    # Data URLs and texts of 256 documents take a while to look at, which the event loop must not wait for.
    return await scoring.replies(await run_in_threadpool(request.requests), http)


def pairs_reply(replies: Sequence[ScoreReply], tokens: int) -> PairsReply:
    """VLLM's answer to a score request. Raises InvalidInput for a document that was not scored."""
    data = [PairScore(index=place, score=one.score) for place, one in enumerate(_scored(replies))]
    return PairsReply(
        id=f"score-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=replies[0].model_version,
        data=data,
        usage=_usage(tokens),
    )


def pooling_reply(replies: Sequence[ScoreReply], tokens: int) -> PoolingReply:
    """VLLM's answer for a process reward model: for each response a row of two classes a step, bad and good.

    Raises InvalidInput for a response that was not scored.
    """
    data = [
        # Their clients read the second class of each row, as a PRM with a head of two classes gives it.
        Pooled(index=place, data=[(1 - step.score, step.score) for step in one.steps])
        for place, one in enumerate(_scored(replies))
    ]
    return PoolingReply(
        id=f"pool-{uuid.uuid4().hex}",
        created=int(time.time()),
        model=replies[0].model_version,
        data=data,
        usage=_usage(tokens),
    )


def _usage(tokens: int) -> ScoringUsage:
    return ScoringUsage(prompt_tokens=tokens, total_tokens=tokens)


def _scored(replies: Sequence[ScoreReply]) -> list[ScoredResponse]:
    results = [one for reply in replies for one in reply.results]
    for place, one in enumerate(results):
        if one.error is not None:
            field = f"documents.{place}"
            raise InvalidInput(f"{field}: {one.error.detail}", field=field)
    return results
