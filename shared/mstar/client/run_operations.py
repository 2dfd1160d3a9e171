"""Operations on runs: start, steer, read, and list downloads."""

from collections.abc import Sequence

from pydantic import ValidationError

from mstar.api.downloads import Download, DownloadFile, Part
from mstar.api.live import LiveRun
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
from mstar.client.declared import Declared, given, once
from mstar.client.operations import Call, operation
from mstar.errors import InvalidInput
from mstar.evolution import RunState
from mstar.results import IterationResult, RunResults

CHECK_SECONDS = 900.0
"""To look at the data of a run or study and run its models once, before it is started: longer than the coordinator's
`data_check_seconds` and `model_check_seconds` may be together."""
REPAIR_SECONDS = 3600.0
"""To read every artefact of a run: checkpoints of large models are hundreds of gigabytes."""


class RunOperations(Declared):
    """`/v1/runs` and `/v1/recipes` of the coordinator."""

    @operation
    def create_run(self, create: RunCreate, idempotency_key: str | None = None) -> Call[Run]:
        """Start a run. The same key with the same body gives the same run; without a key each call starts one."""
        return self._call(Run, "POST", "/v1/runs", body=create, headers=once(idempotency_key), timeout=CHECK_SECONDS)

    @operation
    def run(self, run_id: str) -> Call[Run]:
        """One run. Raises NotFound."""
        return self._call(Run, "GET", f"/v1/runs/{run_id}")

    @operation
    def runs(
        self,
        after: str | None = None,
        limit: int = 50,
        *,
        state: RunState | None = None,
        tag: str | None = None,
        text: str | None = None,
        archived: bool | None = None,
    ) -> Call[Page[Run]]:
        """Newest first: all that are not archived, or those in a state, with a tag, with a text in name or id."""
        params = given(after=after, limit=limit, state=state, tag=tag, text=text, archived=archived)
        return self._call(Page[Run], "GET", "/v1/runs", params=params)

    @operation
    def recipes(self) -> Call[Page[NamedRecipe]]:
        """Recipes that can be started by name."""
        return self._call(Page[NamedRecipe], "GET", "/v1/recipes")

    @operation
    def pause(self, run_id: str) -> Call[Run]:
        """Stop giving out steps; those in hand are finished."""
        return self._call(Run, "POST", f"/v1/runs/{run_id}/pause")

    @operation
    def resume(self, run_id: str) -> Call[RepairedRun]:
        """Go on with a paused or failed run; what the rest of it reads is checked, and made again where damaged."""
        path = f"/v1/runs/{run_id}/resume"
        return self._call(RepairedRun, "POST", path, headers=once(None), timeout=REPAIR_SECONDS)

    @operation
    def repair(self, run_id: str) -> Call[RepairedRun]:
        """Check every artefact of the run, and make damaged ones again."""
        path = f"/v1/runs/{run_id}/repair"
        return self._call(RepairedRun, "POST", path, headers=once(None), timeout=REPAIR_SECONDS)

    @operation
    def cancel(self, run_id: str) -> Call[Run]:
        """End the run for good; what it has made stays."""
        return self._call(Run, "POST", f"/v1/runs/{run_id}/cancel")

    @operation
    def set_tags(self, run_id: str, tags: Sequence[str]) -> Call[Run]:
        """Replace a run's tags; `archived` leaves it out of lists. Raises InvalidInput for what is not a tag."""
        try:
            change = RunChange(tags=tuple(tags))
        except ValidationError:
            raise InvalidInput("a tag is up to 40 lower-case letters, digits, dots and dashes", field="tags") from None
        return self._call(Run, "PATCH", f"/v1/runs/{run_id}", body=change)

    @operation
    def delete(self, run_id: str) -> Call[DeletedRun]:
        """Delete a run that has ended, with everything that it made."""
        # The server wants the id once more, as a person types it to confirm; the command line has asked already.
        return self._call(DeletedRun, "DELETE", f"/v1/runs/{run_id}", params={"confirm": run_id})

    @operation
    def extend(self, run_id: str, count: int = 1) -> Call[Run]:
        """Ask for further iterations."""
        body, headers = IterationStart(count=count), once(None)
        return self._call(Run, "POST", f"/v1/runs/{run_id}/iterations", body=body, headers=headers)

    @operation
    def iterations(self, run_id: str) -> Call[Page[IterationResult]]:
        """Results of the iterations so far, in order."""
        return self._call(Page[IterationResult], "GET", f"/v1/runs/{run_id}/iterations")

    @operation
    def results(self, run_id: str) -> Call[RunResults]:
        """Everything the run has measured so far."""
        return self._call(RunResults, "GET", f"/v1/runs/{run_id}/results")

    @operation
    def events(self, run_id: str, after: str | None = None, limit: int = 100) -> Call[Page[Event]]:
        """What happened in the run, oldest first."""
        return self._call(Page[Event], "GET", f"/v1/runs/{run_id}/events", params=given(after=after, limit=limit))

    @operation
    def steps(self, run_id: str, after: str | None = None, limit: int = 100) -> Call[Page[StepView]]:
        """Steps of the run's graph, in order."""
        return self._call(Page[StepView], "GET", f"/v1/runs/{run_id}/steps", params=given(after=after, limit=limit))

    @operation
    def live(self, run_id: str) -> Call[LiveRun]:
        """What the run does now, how fast, and what waits for what."""
        return self._call(LiveRun, "GET", f"/v1/runs/{run_id}/live")

    @operation
    def checkpoints(self, run_id: str) -> Call[Page[Checkpoint]]:
        """The run's checkpoints that can be served or loaded."""
        return self._call(Page[Checkpoint], "GET", f"/v1/runs/{run_id}/checkpoints")

    @operation
    def samples(
        self, run_id: str, iteration: int = 1, after: str | None = None, limit: int = 20
    ) -> Call[Page[QuestionSamples]]:
        """What an iteration sampled, question by question; 0 is the warm-up."""
        params = given(iteration=iteration, after=after, limit=limit)
        return self._call(Page[QuestionSamples], "GET", f"/v1/runs/{run_id}/samples", params=params)

    @operation
    def responses(self, run_id: str, query: ResponseQuery | None = None) -> Call[FoundPage]:
        """Questions whose responses meet a filter, in the order that it asks for."""
        params = (query or ResponseQuery()).model_dump(mode="json", exclude_defaults=True)
        return self._call(FoundPage, "GET", f"/v1/runs/{run_id}/responses", params=params)

    @operation
    def downloads(self, run_id: str) -> Call[Page[Download]]:
        """What can be taken away of a run by now."""
        return self._call(Page[Download], "GET", f"/v1/runs/{run_id}/downloads")

    @operation
    def download_files(self, run_id: str, part: Part) -> Call[Page[DownloadFile]]:
        """The files of a part with their checksums, which the server may have to make first."""
        path = f"/v1/runs/{run_id}/downloads/{part.value}/files"
        return self._call(Page[DownloadFile], "GET", path, timeout=REPAIR_SECONDS)
