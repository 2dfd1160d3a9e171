"""Keys that are looked up: how long an answer counts, and what happens while nobody answers."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx2
import pytest
from pydantic import SecretStr

from mstar.api.keys import Introspected, Principal, Role
from mstar.errors import Unavailable
from mstar_web.keyring import (
    ENTRIES,
    FRESH_SECONDS,
    INTROSPECT_PATH,
    STALE_SECONDS,
    UNKNOWN_SECONDS,
    CachedKeyring,
    RemoteKeyring,
    remote_keyring,
)

KEY = f"mstar_{'a' * 12}_{'b' * 43}"
OTHER = f"mstar_{'a' * 12}_{'c' * 43}"
BLUE = Principal(name="blue", id="a" * 12, roles=frozenset({Role.SCORE}), expires_at=1000.0)


class Source:
    """Knows KEY while it is told to; may be away."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.known: Principal | None = BLUE
        self.now = 0.0
        self.wall = 0.0

    async def find(self, key: str) -> Principal | None:
        self.asked += 1
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        return self.known if key == KEY else None

    async def close(self) -> None:
        self.away = True

    def cached(self) -> CachedKeyring:
        return CachedKeyring(self, lambda: self.now, lambda: self.wall)


def run(conversation: Callable[[Source, CachedKeyring], Awaitable[None]]) -> None:
    async def whole() -> None:
        source = Source()
        await conversation(source, source.cached())

    asyncio.run(whole())


def test_an_answer_counts_for_seconds_and_a_revoked_key_ends_then() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        assert await ring.find(KEY) == BLUE
        source.known = None
        source.now = FRESH_SECONDS - 1
        assert await ring.find(KEY) == BLUE and source.asked == 1
        source.now = FRESH_SECONDS
        assert await ring.find(KEY) is None

    run(conversation)


def test_what_was_forgotten_is_asked_again_at_once() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        await ring.find(KEY)
        source.known = None
        ring.forget()
        assert await ring.find(KEY) is None

    run(conversation)


def test_an_answer_from_before_the_revocation_is_not_remembered() -> None:
    class Slow(Source):
        """Has looked the key up when it is held."""

        async def find(self, key: str) -> Principal | None:
            found = self.known
            self.asked += 1
            if self.asked == 1:
                begun.set()
                await held.wait()
            return found

    async def whole() -> None:
        source = Slow()
        ring = source.cached()
        first = asyncio.create_task(ring.find(KEY))
        await begun.wait()
        source.known = None
        ring.forget()
        held.set()
        assert await first == BLUE
        assert await ring.find(KEY) is None and source.asked == 2

    begun, held = asyncio.Event(), asyncio.Event()
    asyncio.run(whole())


def test_an_unknown_key_is_not_asked_about_again_and_again() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        for _ in range(5):
            assert await ring.find(OTHER) is None
        assert source.asked == 1
        source.now = UNKNOWN_SECONDS
        assert await ring.find(OTHER) is None and source.asked == 2

    run(conversation)


@pytest.mark.parametrize("text", ["", "none", KEY[:-1], KEY + "x", KEY + "\n", KEY.upper(), "sk-1234", "é" * 60])
def test_what_does_not_look_like_a_key_is_not_asked_about(text: str) -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        assert await ring.find(text) is None and source.asked == 0

    run(conversation)


def test_many_requests_with_one_key_ask_once() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        assert await asyncio.gather(*(ring.find(KEY) for _ in range(50))) == [BLUE] * 50
        assert source.asked == 1

    run(conversation)


def test_a_known_key_counts_for_minutes_while_the_source_is_away_and_an_unknown_one_is_not_refused() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        await ring.find(KEY)
        source.away = True
        source.now = STALE_SECONDS - 1
        assert await ring.find(KEY) == BLUE
        with pytest.raises(Unavailable):
            await ring.find(OTHER)
        source.now = STALE_SECONDS
        with pytest.raises(Unavailable):
            await ring.find(KEY)

    run(conversation)


def test_a_key_expires_to_the_second_whatever_is_remembered() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        source.wall = 999.0
        assert await ring.find(KEY) == BLUE
        source.wall = 1000.0
        assert await ring.find(KEY) is None and source.asked == 1

    run(conversation)


def test_memory_is_bounded() -> None:
    async def conversation(source: Source, ring: CachedKeyring) -> None:
        for number in range(ENTRIES + 50):
            await ring.find(f"mstar_{'a' * 12}_{number:043d}")
        assert len(ring._known) == ENTRIES

    run(conversation)


def answering(answer: Callable[[httpx2.Request], httpx2.Response]) -> Principal | None:
    async def once() -> Principal | None:
        ring = RemoteKeyring("http://c", SecretStr("inside"), httpx2.MockTransport(answer))
        try:
            return await ring.find(KEY)
        finally:
            await ring.close()

    return asyncio.run(once())


def test_a_service_asks_the_coordinator_with_the_internal_key() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, text=Introspected(principal=BLUE).model_dump_json())

    assert answering(answer) == BLUE
    assert (seen[0].url.path, seen[0].headers["authorization"]) == (INTROSPECT_PATH, "Bearer inside")
    assert KEY not in str(seen[0].url)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_an_answer_that_is_none_refuses_nobody_for_good(status: int) -> None:
    with pytest.raises(Unavailable, match="can't be checked now"):
        answering(lambda _: httpx2.Response(status, text="{}"))
    with pytest.raises(Unavailable):
        answering(lambda _: httpx2.Response(200, text="<html>"))


def test_a_service_without_a_coordinator_has_no_keyring() -> None:
    assert remote_keyring(None, None) is None
