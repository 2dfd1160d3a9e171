"""Typed HTTP client of the coordinator and of the scoring endpoint, over a transport that tests may replace.

Errors come back as the classes of `mstar.errors`. What this leaves out: internal routes, which are the workers'.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, ValidationError

from mstar.api.audit import AuditEntry
from mstar.api.downloads import Download, DownloadFile, Part
from mstar.api.keys import Key, KeyCreate, NewKey
from mstar.api.policy import WeightsState, WeightsUpdate
from mstar.api.prm import ScoreReply, ScoreRequest
from mstar.api.responses import FoundPage, ResponseQuery
from mstar.api.runs import (
    Checkpoint,
    DeletedRun,
    Event,
    IterationStart,
    NamedRecipe,
    Page,
    RepairedRun,
    Run,
    RunChange,
    RunCreate,
    StepView,
)
from mstar.api.samples import QuestionSamples
from mstar.api.studies import StudyCreate, StudyView
from mstar.errors import Internal, InvalidInput
from mstar.evolution import RunState
from mstar.http_json import Reply, Sender, Target
from mstar.results import IterationResult, RunResults
from mstar.study.record import StudyRun

DEFAULT_URL = "http://127.0.0.1:8400"
DEFAULT_POLICY_URL = "http://127.0.0.1:8401"
DEFAULT_PRM_URL = "http://127.0.0.1:8402"
START = "start it with `mstar up`"
LOAD_SECONDS = 900.0
REPAIR_SECONDS = 3600.0
"""To read every artefact of a run: checkpoints of large models are hundreds of gigabytes."""


@dataclass(frozen=True)
class Endpoint:
    """Where the services are, and the keys for them."""

    url: str = DEFAULT_URL
    prm_url: str = DEFAULT_PRM_URL
    run_admin_key: str | None = None
    score_key: str | None = None
    policy_url: str = DEFAULT_POLICY_URL
    weights_admin_key: str | None = None

    @classmethod
    def from_environment(cls) -> Self:
        """MSTAR_URL with MSTAR_RUN_ADMIN_KEY, MSTAR_PRM_URL with MSTAR_SCORE_KEY, MSTAR_POLICY_URL; loopback defaults.

        MSTAR_WEIGHTS_ADMIN_KEY loads weights into policy and PRM.
        """
        env = os.environ
        return cls(
            url=env.get("MSTAR_URL", DEFAULT_URL),
            prm_url=env.get("MSTAR_PRM_URL", DEFAULT_PRM_URL),
            run_admin_key=env.get("MSTAR_RUN_ADMIN_KEY") or None,
            score_key=env.get("MSTAR_SCORE_KEY") or None,
            policy_url=env.get("MSTAR_POLICY_URL", DEFAULT_POLICY_URL),
            weights_admin_key=env.get("MSTAR_WEIGHTS_ADMIN_KEY") or None,
        )

    @property
    def runs(self) -> Target:
        """The coordinator."""
        return Target(self.url, self.run_admin_key, "MSTAR_URL", "MSTAR_RUN_ADMIN_KEY", START)

    @property
    def policy_weights(self) -> Target:
        """The policy, to load weights into it."""
        return Target(self.policy_url, self.weights_admin_key, "MSTAR_POLICY_URL", "MSTAR_WEIGHTS_ADMIN_KEY", START)

    @property
    def prm_weights(self) -> Target:
        """The PRM, to load weights into it."""
        return Target(self.prm_url, self.weights_admin_key, "MSTAR_PRM_URL", "MSTAR_WEIGHTS_ADMIN_KEY", START)

    @property
    def scoring(self) -> Target:
        """The scoring endpoint."""
        return Target(self.prm_url, self.score_key, "MSTAR_PRM_URL", "MSTAR_SCORE_KEY", START)


class Client:
    """Synchronous client; close it, or use it as a context manager."""

    def __init__(self, endpoint: Endpoint, transport: httpx2.BaseTransport | None = None) -> None:
        self.endpoint = endpoint
        self._sender = Sender(httpx2.Timeout(60, connect=3), transport)

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reachable(self) -> bool:
        """Whether a coordinator answers."""
        return self._sender.reaches(self.endpoint.runs, "/livez", 2)

    def create_run(self, create: RunCreate, idempotency_key: str | None = None) -> Run:
        """Start a run. The same key with the same body gives the same run."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        return self._call(Run, "POST", "/v1/runs", body=create, headers=headers)

    def run(self, run_id: str) -> Run:
        """One run. Raises NotFound."""
        return self._call(Run, "GET", f"/v1/runs/{run_id}")

    def runs(
        self,
        after: str | None = None,
        limit: int = 50,
        *,
        state: RunState | None = None,
        tag: str | None = None,
        text: str | None = None,
        archived: bool | None = None,
    ) -> Page[Run]:
        """Newest first: all that are not archived, or those in a state, with a tag, with a text in name or id."""
        params = _params(after=after, limit=limit, state=state, tag=tag, text=text, archived=archived)
        return self._call(Page[Run], "GET", "/v1/runs", params=params)

    def pause(self, run_id: str) -> Run:
        """Stop giving out steps; those in hand are finished."""
        return self._call(Run, "POST", f"/v1/runs/{run_id}/pause")

    def resume(self, run_id: str) -> RepairedRun:
        """Go on with a paused or failed run; what the rest of it reads is checked, and made again where damaged."""
        return self._call(RepairedRun, "POST", f"/v1/runs/{run_id}/resume", timeout=REPAIR_SECONDS)

    def repair(self, run_id: str) -> RepairedRun:
        """Check every artefact of the run, and make damaged ones again."""
        return self._call(RepairedRun, "POST", f"/v1/runs/{run_id}/repair", timeout=REPAIR_SECONDS)

    def cancel(self, run_id: str) -> Run:
        """End the run for good; what it has made stays."""
        return self._call(Run, "POST", f"/v1/runs/{run_id}/cancel")

    def set_tags(self, run_id: str, tags: Sequence[str]) -> Run:
        """Replace a run's tags; `archived` leaves it out of lists. Raises InvalidInput for what is no tag."""
        try:
            change = RunChange(tags=tuple(tags))
        except ValidationError:
            raise InvalidInput("a tag is up to 40 lower-case letters, digits, dots and dashes", field="tags") from None
        return self._call(Run, "PATCH", f"/v1/runs/{run_id}", body=change)

    def delete(self, run_id: str) -> None:
        """Delete a run that has ended, with everything that it made."""
        self._call(DeletedRun, "DELETE", f"/v1/runs/{run_id}", params={"confirm": run_id})

    def extend(self, run_id: str, count: int = 1) -> Run:
        """Ask for further iterations."""
        return self._call(Run, "POST", f"/v1/runs/{run_id}/iterations", body=IterationStart(count=count))

    def iterations(self, run_id: str) -> Page[IterationResult]:
        """Results of the iterations so far, in order."""
        return self._call(Page[IterationResult], "GET", f"/v1/runs/{run_id}/iterations")

    def results(self, run_id: str) -> RunResults:
        """Everything the run has measured so far."""
        return self._call(RunResults, "GET", f"/v1/runs/{run_id}/results")

    def events(self, run_id: str, after: str | None = None, limit: int = 100) -> Page[Event]:
        """What happened in the run, oldest first."""
        return self._call(Page[Event], "GET", f"/v1/runs/{run_id}/events", params=_params(after=after, limit=limit))

    def checkpoints(self, run_id: str) -> Page[Checkpoint]:
        """The run's checkpoints that can be served or loaded."""
        return self._call(Page[Checkpoint], "GET", f"/v1/runs/{run_id}/checkpoints")

    def load(self, checkpoint: Checkpoint) -> WeightsState:
        """Have the policy or the PRM serve a checkpoint, whichever it is one of, until something else is loaded."""
        prm = checkpoint.objective == "prm"
        return self._call(
            WeightsState,
            "PUT",
            "/v1/weights",
            body=WeightsUpdate(artefact=checkpoint.id, manifest_sha256=checkpoint.sha256),
            service=self.endpoint.prm_weights if prm else self.endpoint.policy_weights,
            timeout=LOAD_SECONDS,
        )

    def steps(self, run_id: str, after: str | None = None, limit: int = 100) -> Page[StepView]:
        """Steps of the run's graph, in order."""
        return self._call(Page[StepView], "GET", f"/v1/runs/{run_id}/steps", params=_params(after=after, limit=limit))

    def samples(
        self, run_id: str, iteration: int = 1, after: str | None = None, limit: int = 20
    ) -> Page[QuestionSamples]:
        """What an iteration sampled, question by question; 0 is the warm-up."""
        params = _params(iteration=iteration, after=after, limit=limit)
        return self._call(Page[QuestionSamples], "GET", f"/v1/runs/{run_id}/samples", params=params)

    def responses(self, run_id: str, query: ResponseQuery | None = None) -> FoundPage:
        """Questions whose responses meet a filter, in the order that it asks for."""
        params = (query or ResponseQuery()).model_dump(mode="json", exclude_defaults=True)
        return self._call(FoundPage, "GET", f"/v1/runs/{run_id}/responses", params=params)

    def create_study(self, study: StudyCreate, key: str | None = None) -> StudyView:
        """Start a study; `key` makes a retry harmless."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self._call(StudyView, "POST", "/v1/studies", body=study, headers=headers)

    def studies(self, after: str | None = None, limit: int = 20) -> Page[StudyView]:
        """Studies, newest first."""
        return self._call(Page[StudyView], "GET", "/v1/studies", params=_params(after=after, limit=limit))

    def study(self, study_id: str) -> StudyView:
        """One study with the states of its runs."""
        return self._call(StudyView, "GET", f"/v1/studies/{study_id}")

    def study_results(self, study_id: str, after: str | None = None, limit: int = 20) -> Page[StudyRun]:
        """What is kept of the finished runs of a study, in their order."""
        params = _params(after=after, limit=limit)
        return self._call(Page[StudyRun], "GET", f"/v1/studies/{study_id}/results", params=params)

    def resume_study(self, study_id: str) -> StudyView:
        """Try the failed runs of a study again."""
        return self._call(StudyView, "POST", f"/v1/studies/{study_id}/resume")

    def cancel_study(self, study_id: str) -> StudyView:
        """End a study and the run that is under way."""
        return self._call(StudyView, "POST", f"/v1/studies/{study_id}/cancel")

    def downloads(self, run_id: str) -> Page[Download]:
        """What can be taken away of a run by now."""
        return self._call(Page[Download], "GET", f"/v1/runs/{run_id}/downloads")

    def download_files(self, run_id: str, part: Part) -> Page[DownloadFile]:
        """The files of a part with their checksums, which the server may have to make first."""
        path = f"/v1/runs/{run_id}/downloads/{part.value}/files"
        return self._call(Page[DownloadFile], "GET", path, timeout=REPAIR_SECONDS)

    def download_file(self, run_id: str, part: Part, name: str, begin: int, size: int) -> Iterator[bytes]:
        """A file from a byte on, piece by piece; nothing where it ends there."""
        if begin >= size:
            return
        path = f"/v1/runs/{run_id}/downloads/{part.value}/files/{quote(name)}"
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={begin}-"} if begin else {})
        with self._sender.stream(self.endpoint.runs, path, headers) as answer:
            if begin and answer.status_code != 206:
                raise Internal(f"{self.endpoint.runs.shown} sends the whole file where a part was asked for")
            yield from answer.iter_bytes()

    def recipes(self) -> Page[NamedRecipe]:
        """Recipes that can be started by name."""
        return self._call(Page[NamedRecipe], "GET", "/v1/recipes")

    def create_key(self, create: KeyCreate) -> NewKey:
        """Make a key; the answer is the only place that shows it."""
        return self._call(NewKey, "POST", "/v1/keys", body=create)

    def keys(self, after: str | None = None, limit: int = 100) -> Page[Key]:
        """Keys of the caller's project, the newest first; of all projects for an operator."""
        return self._call(Page[Key], "GET", "/v1/keys", params=_params(after=after, limit=limit))

    def revoke_key(self, key_id: str) -> Key:
        """End a key for good. Raises NotFound."""
        return self._call(Key, "POST", f"/v1/keys/{key_id}/revoke")

    def audit(self, after: str | None = None, limit: int = 100) -> Page[AuditEntry]:
        """Who changed what, the newest first."""
        return self._call(Page[AuditEntry], "GET", "/v1/audit", params=_params(after=after, limit=limit))

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
        service: Target | None = None,
        timeout: float | None = None,
    ) -> Reply:
        target = service or self.endpoint.runs
        return self._sender.send(
            target, method, path, reply, body=body, params=params, headers=headers, timeout=timeout
        )


def _params(**given: Any) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
