"""Operations on evaluations: start, read, steer."""

from mstar.api.evaluations import Evaluation, EvaluationCreate
from mstar.api.runs import Page
from mstar.client.declared import Declared, given, once
from mstar.client.operations import Call, operation
from mstar.client.run_operations import CHECK_SECONDS, REPAIR_SECONDS
from mstar.evolution import RunState


class EvaluationOperations(Declared):
    """`/v1/evaluations` of the coordinator. Steps, events and files of one are those of the run with its id."""

    @operation
    def create_evaluation(self, create: EvaluationCreate, idempotency_key: str | None = None) -> Call[Evaluation]:
        """Start an evaluation; the same key with the same body gives the same one. Reads all files first."""
        headers = once(idempotency_key)
        return self._call(Evaluation, "POST", "/v1/evaluations", body=create, headers=headers, timeout=CHECK_SECONDS)

    @operation
    def evaluation(self, evaluation_id: str) -> Call[Evaluation]:
        """One evaluation, with its tables once it has succeeded. Raises NotFound."""
        return self._call(Evaluation, "GET", f"/v1/evaluations/{evaluation_id}")

    @operation
    def evaluations(
        self, after: str | None = None, limit: int = 20, *, state: RunState | None = None
    ) -> Call[Page[Evaluation]]:
        """Newest first."""
        params = given(after=after, limit=limit, state=state)
        return self._call(Page[Evaluation], "GET", "/v1/evaluations", params=params)

    @operation
    def resume_evaluation(self, evaluation_id: str) -> Call[Evaluation]:
        """Go on with one that failed or was paused."""
        path = f"/v1/evaluations/{evaluation_id}/resume"
        return self._call(Evaluation, "POST", path, timeout=REPAIR_SECONDS)

    @operation
    def cancel_evaluation(self, evaluation_id: str) -> Call[Evaluation]:
        """End it for good."""
        return self._call(Evaluation, "POST", f"/v1/evaluations/{evaluation_id}/cancel")
