"""Idempotency-Key: a request that is sent again with its key gets the first answer and begins nothing new.

The key is bound to what was begun in the same transaction that begins it, where the work is a row of the database, so
that no crash can begin it twice. The answer is kept afterwards; one that a crash left out is made from what was begun.
Keys are each project's own, and are kept for good. Draft: draft-ietf-httpapi-idempotency-key-header.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Header
from pydantic import BaseModel

from mstar.api.keys import DEFAULT_PROJECT, Principal
from mstar_coordinator.api.routes.context import Context
from mstar_coordinator.store.records import IdempotencyKey

Answer = TypeVar("Answer", bound=BaseModel)
_HASH = re.compile(r"[0-9a-f]{64}")
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="A retry with the same key and body begins nothing new, and gets the same answer.",
    ),
]


def idempotency(key: str | None, scope: str, body: str, caller: Principal) -> IdempotencyKey | None:
    """The key with the hash of what it stands for; None without a key. `scope`: what is asked for, such as a path."""
    if key is None:
        return None
    digest = hashlib.sha256(f"{scope}\n{body}".encode()).hexdigest()
    # The table has one column for keys, so the project is hashed into them: two projects may use the same key. So is
    # the default one where its key could be such a hash, or it would get what another project has begun.
    if caller.project != DEFAULT_PROJECT or _HASH.fullmatch(key):
        key = hashlib.sha256(f"{caller.project}\n{key}".encode()).hexdigest()
    return IdempotencyKey(key, digest)


def answer_once(
    context: Context,
    key: IdempotencyKey | None,
    kind: type[Answer],
    begin: Callable[[], str],
    show: Callable[[str], Answer],
) -> Answer:
    """The answer to a request that begins something: with a key that was used before, the first answer.

    `begin` returns the id of what it began, and takes the key itself where it can. Raises IdempotencyMismatch when the
    key came with another body.
    """
    if key is None:
        return show(begin())
    with context.store.reading() as tx:
        begun, kept = tx.runs.find_key(key.key, key.body_sha256), tx.runs.answer(key.key)
    if kept is None:
        # A key that is bound but has no answer is what a crash has left: only the answer is made up for.
        begun = begin() if begun is None else begun
        answer = show(begun).model_dump_json()
        with context.store.writing() as tx:
            tx.runs.take_key(key.key, key.body_sha256, begun, tx.now())
            kept = tx.runs.keep_answer(key.key, answer)
    return kind.model_validate_json(kept)
