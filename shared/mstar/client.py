"""Typed HTTP client of the coordinator and of the scoring endpoint, over a transport that tests may replace.

Errors come back as the classes of `mstar.errors`. What this leaves out: internal routes, which are the workers'.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import httpx2
from pydantic import BaseModel, ValidationError

from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.api.runs import Checkpoint, Event, IterationStart, NamedRecipe, Page, Run, RunCreate, StepView
from mstar.api.samples import QuestionSamples
from mstar.errors import Forbidden, Internal, MstarError, Unauthenticated, Unavailable, from_problem
from mstar.results import IterationResult, RunResults

Reply = TypeVar("Reply", bound=BaseModel)

DEFAULT_URL = "http://127.0.0.1:8400"
DEFAULT_PRM_URL = "http://127.0.0.1:8402"
_GATEWAY = (502, 504)
"""What a proxy answers while the service behind it is being replaced."""


@dataclass(frozen=True)
class Endpoint:
    """Where the services are, and the keys for them."""

    url: str = DEFAULT_URL
    prm_url: str = DEFAULT_PRM_URL
    run_admin_key: str | None = None
    score_key: str | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """MSTAR_URL with MSTAR_RUN_ADMIN_KEY, MSTAR_PRM_URL with MSTAR_SCORE_KEY; loopback defaults."""
        env = os.environ
        return cls(
            url=env.get("MSTAR_URL", DEFAULT_URL),
            prm_url=env.get("MSTAR_PRM_URL", DEFAULT_PRM_URL),
            run_admin_key=env.get("MSTAR_RUN_ADMIN_KEY") or None,
            score_key=env.get("MSTAR_SCORE_KEY") or None,
        )

    @property
    def runs(self) -> tuple[str, str | None]:
        """Base URL and key of the coordinator."""
        return self.url.rstrip("/"), self.run_admin_key

    @property
    def scoring(self) -> tuple[str, str | None]:
        """Base URL and key of the scoring endpoint."""
        return self.prm_url.rstrip("/"), self.score_key


class Client:
    """Synchronous client; close it, or use it as a context manager."""

    def __init__(self, endpoint: Endpoint, transport: httpx2.BaseTransport | None = None) -> None:
        self.endpoint = endpoint
        timeout = httpx2.Timeout(60, connect=3)
        self._http = httpx2.Client(timeout=timeout, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def reachable(self) -> bool:
        """Whether a coordinator answers."""
        try:
            return self._http.get(f"{self.endpoint.url}/livez", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False

    def create_run(self, create: RunCreate, idempotency_key: str | None = None) -> Run:
        """Start a run. The same key with the same body gives the same run."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._call(Run, "POST", "/v1/runs", body=create, headers=headers)

    def run(self, run_id: str) -> Run:
        return self._call(Run, "GET", f"/v1/runs/{run_id}")

    def runs(self, after: str | None = None, limit: int = 50) -> Page[Run]:
        """Newest first."""
        return self._call(Page[Run], "GET", "/v1/runs", params=_params(after=after, limit=limit))

    def pause(self, run_id: str) -> Run:
        return self._call(Run, "POST", f"/v1/runs/{run_id}/pause")

    def resume(self, run_id: str) -> Run:
        return self._call(Run, "POST", f"/v1/runs/{run_id}/resume")

    def cancel(self, run_id: str) -> Run:
        return self._call(Run, "POST", f"/v1/runs/{run_id}/cancel")

    def extend(self, run_id: str, count: int = 1) -> Run:
        """Ask for further iterations."""
        return self._call(Run, "POST", f"/v1/runs/{run_id}/iterations", body=IterationStart(count=count))

    def iterations(self, run_id: str) -> Page[IterationResult]:
        return self._call(Page[IterationResult], "GET", f"/v1/runs/{run_id}/iterations")

    def results(self, run_id: str) -> RunResults:
        return self._call(RunResults, "GET", f"/v1/runs/{run_id}/results")

    def events(self, run_id: str, after: str | None = None, limit: int = 100) -> Page[Event]:
        return self._call(Page[Event], "GET", f"/v1/runs/{run_id}/events", params=_params(after=after, limit=limit))

    def checkpoints(self, run_id: str) -> Page[Checkpoint]:
        return self._call(Page[Checkpoint], "GET", f"/v1/runs/{run_id}/checkpoints")

    def steps(self, run_id: str, after: str | None = None, limit: int = 100) -> Page[StepView]:
        """Steps of the run's graph, in order."""
        return self._call(Page[StepView], "GET", f"/v1/runs/{run_id}/steps", params=_params(after=after, limit=limit))

    def samples(
        self, run_id: str, iteration: int = 1, after: str | None = None, limit: int = 20
    ) -> Page[QuestionSamples]:
        """What an iteration sampled, question by question; 0 is the warm-up."""
        params = _params(iteration=iteration, after=after, limit=limit)
        return self._call(Page[QuestionSamples], "GET", f"/v1/runs/{run_id}/samples", params=params)

    def recipes(self) -> Page[NamedRecipe]:
        """Recipes that can be started by name."""
        return self._call(Page[NamedRecipe], "GET", "/v1/recipes")

    def score(self, request: ScoreRequest) -> ScoreReply:
        """Step scores of the responses of one question, from the PRM service."""
        return self._call(ScoreReply, "POST", "/v1/score", body=request, service=self.endpoint.scoring)

    def _call(
        self,
        reply: type[Reply],
        method: str,
        path: str,
        *,
        body: BaseModel | None = None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        service: tuple[str, str | None] | None = None,
    ) -> Reply:
        url, key = service or self.endpoint.runs
        content = None if body is None else body.model_dump_json()
        sent = {"Content-Type": "application/json", **(headers or {})}
        if key is not None:
            sent["Authorization"] = f"Bearer {key}"
        try:
            answer = self._http.request(method, url + path, content=content, params=params, headers=sent)
        except httpx2.TransportError as error:
            variable = "MSTAR_URL" if service is None else "MSTAR_PRM_URL"
            raise Unavailable(
                f"nothing answers at {url}: start it with `mstar up`, or set {variable} ({type(error).__name__})"
            ) from error
        if answer.status_code in _GATEWAY:
            raise Unavailable(f"the gateway before {url} answers {answer.status_code}: the service may be restarting")
        if answer.is_error:
            raise _with_remedy(from_problem(_problem(answer), answer.status_code), url, scoring=service is not None)
        try:
            return reply.model_validate_json(answer.content)
        except ValidationError as error:
            raise Internal(f"the answer of {url} is not that of this service: is it another one, or newer?") from error


def _with_remedy(error: MstarError, url: str, *, scoring: bool) -> MstarError:
    """An error about keys as what to do here about it; others as they are."""
    variable = "MSTAR_SCORE_KEY" if scoring else "MSTAR_RUN_ADMIN_KEY"
    if isinstance(error, Unauthenticated):
        return Unauthenticated(f"{url} does not know your key: set {variable}")
    if isinstance(error, Forbidden) and "key" in error.detail:
        return Forbidden(f"{url} refuses your key: {error.detail}; set {variable} to it", field=error.field)
    return error


def _problem(answer: httpx2.Response) -> dict[str, Any]:
    try:
        problem = answer.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _params(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
