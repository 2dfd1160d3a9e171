"""Services that stay on one set of GPUs and take turns by sleeping: asked over HTTP, with no cluster behind it.

Policy and PRM give back their memory when told, and the trainer's worker holds none between steps. What this leaves
out: loading weights, which workers push as soon as a service is awake.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx2
from pydantic import SecretStr, ValidationError

from mstar.api.policy import Power
from mstar.errors import Unavailable
from mstar.steps import Queue
from mstar_coordinator.addresses import addresses
from mstar_coordinator.cluster.interface import Pods

ASK_SECONDS, CHANGE_SECONDS = 5.0, 900.0
"""Patience for a look, and for a change: a service first finishes what it does."""


class InPlace:
    """A `Cluster` of services that are always there."""

    jobs = False

    def __init__(
        self,
        urls: Mapping[Queue, str],
        key: SecretStr | None,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        """`urls`: of policy and PRM; a host name with several IPv4 addresses stands for one replica at each."""
        headers = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        self._urls = urls
        self._http = httpx2.Client(headers=headers, transport=transport)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="power")
        self._changing: dict[str, Future[Power]] = {}

    def pods(self) -> Mapping[Queue, Pods]:
        found = {}
        for queue, url in self._urls.items():
            replicas = addresses(url)
            awake = sum(self._ask("GET", f"{one}/v1/power", ASK_SECONDS).awake for one in replicas)
            found[queue] = Pods(
                asked=awake > 0, there=awake, ready=awake, wanted=len(replicas), waiting=self._failures(replicas)
            )
        # Its processes end with each step, and the database says whether there is one.
        return found | {Queue.TRAIN: Pods(ready=1)}

    def scale(self, queue: Queue, *, up: bool) -> None:
        """Begin it: a service first finishes what it does, which nobody should wait for here."""
        for one in addresses(self._urls[queue]):
            begun = self._changing.get(one)
            if begun is not None and not begun.done():
                continue
            if self._ask("GET", f"{one}/v1/power", ASK_SECONDS).awake is not up:
                change = Power(awake=up)
                self._changing[one] = self._threads.submit(self._ask, "PUT", f"{one}/v1/power", CHANGE_SECONDS, change)

    def start_training(self, step_id: str, epoch: int) -> str | None:
        raise AssertionError("the trainer's worker takes its steps from its queue")

    def close(self) -> None:
        # First the connections: a change that goes on would keep its thread.
        self._http.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _failures(self, replicas: Sequence[str]) -> str:
        """Of changes that were begun and came to nothing."""
        changes = [self._changing[one] for one in replicas if one in self._changing]
        errors = [one.exception() for one in changes if one.done() and not one.cancelled()]
        return "; ".join(str(error) for error in errors if error is not None)

    def _ask(self, method: str, url: str, seconds: float, body: Power | None = None) -> Power:
        content = None if body is None else body.model_dump_json()
        sent = {"Content-Type": "application/json"}
        try:
            answer = self._http.request(method, url, content=content, headers=sent, timeout=seconds)
            answer.raise_for_status()
            return Power.model_validate_json(answer.content)
        except (httpx2.HTTPError, ValidationError) as error:
            host = urlsplit(url).netloc
            raise Unavailable(f"{host} does not say whether it sleeps: {type(error).__name__}") from error
