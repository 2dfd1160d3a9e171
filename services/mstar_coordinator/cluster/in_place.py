"""Turns on one set of GPUs between services that keep running: HTTP requests put them to sleep and wake them.

Policy and PRM give their memory back when they are put to sleep, and the trainer's worker holds none between steps.
What this leaves out: loading weights, which workers push as soon as a service is awake.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import httpx2
from pydantic import SecretStr

from mstar.api.policy import Power
from mstar.errors import MstarError, Unavailable
from mstar.http_json import Sender, Target
from mstar.steps import Queue
from mstar_coordinator.addresses import addresses
from mstar_coordinator.cluster.interface import Pods

ASK_SECONDS, CHANGE_SECONDS = 5.0, 900.0
"""How long a question and a change may take: before it sleeps, a service finishes its running requests."""
URL_SETTINGS = {Queue.ROLLOUT: "MSTAR_COORDINATOR_POLICY_URL", Queue.SCORE: "MSTAR_COORDINATOR_PRM_URL"}


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
        self._urls = urls
        self._key = None if key is None else key.get_secret_value()
        self._sender = Sender(httpx2.Timeout(ASK_SECONDS), transport)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="power")
        self._changing: dict[str, Future[Power]] = {}

    def pods(self) -> Mapping[Queue, Pods]:
        """What is awake now, one replica counting as one pod."""
        found = {}
        for queue, url in self._urls.items():
            replicas = addresses(url)
            awake = sum(self._ask(queue, one).awake for one in replicas)
            found[queue] = Pods(
                asked=awake > 0, there=awake, ready=awake, wanted=len(replicas), waiting=self._failures(replicas)
            )
        # The trainer's processes end with each step; the database says whether a step is running.
        return found | {Queue.TRAIN: Pods(ready=1)}

    def scale(self, queue: Queue, *, up: bool) -> None:
        """Begin to wake a service or to put it to sleep, in a thread: it first finishes its running requests."""
        for one in addresses(self._urls[queue]):
            # One change at a time for a replica: which of two comes last would be chance.
            begun = self._changing.get(one)
            if begun is not None and not begun.done():
                continue
            if self._ask(queue, one).awake is not up:
                self._changing[one] = self._threads.submit(self._change, queue, one, Power(awake=up))

    def start_training(self, step_id: str, epoch: int) -> str | None:
        """Never called, since `jobs` is false."""
        raise AssertionError("the trainer's worker takes its steps from its queue")

    def close(self) -> None:
        """End the changes that are under way, as far as this process waits for them."""
        # Connections first: a thread would wait for its change to end.
        self._sender.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _failures(self, replicas: Sequence[str]) -> str:
        """Errors of the last changes that failed, as one text."""
        changes = [self._changing[one] for one in replicas if one in self._changing]
        errors = [one.exception() for one in changes if one.done() and not one.cancelled()]
        return "; ".join(str(error) for error in errors if error is not None)

    def _ask(self, queue: Queue, url: str) -> Power:
        return self._send(queue, url, "GET", None, ASK_SECONDS)

    def _change(self, queue: Queue, url: str, change: Power) -> Power:
        return self._send(queue, url, "PUT", change, CHANGE_SECONDS)

    def _send(self, queue: Queue, url: str, method: str, body: Power | None, seconds: float) -> Power:
        """Raises Unavailable whatever the service's error is: only the next look can tell what it does."""
        target = Target(url, self._key, URL_SETTINGS[queue], "MSTAR_COORDINATOR_INTERNAL_KEY")
        try:
            return self._sender.send(target, method, "/v1/power", Power, body=body, timeout=seconds)
        except MstarError as error:
            raise Unavailable(f"{target.shown} does not say whether it sleeps: {error.detail}") from error
