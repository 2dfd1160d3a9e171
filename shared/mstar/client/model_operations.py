"""Operations on the models: score, rerank, sample, and load weights; and files and batches, which score in bulk."""

from typing import Literal

from mstar.api.batches import Batch, BatchCreate, DeletedFile, StoredFile
from mstar.api.policy import RolloutReply, RolloutRequest, WeightsState, WeightsUpdate
from mstar.api.prm import RerankRequest, ScoreReply, ScoreRequest
from mstar.api.runs import Checkpoint, Page
from mstar.client.declared import Declared, given, once
from mstar.client.operations import Call, operation

MODEL_SECONDS = 900.0
"""To load weights, or to sample a large batch."""


class ModelOperations(Declared):
    """PRM and policy, and the coordinator's `/v1/files` and `/v1/batches`."""

    @operation
    def score(self, request: ScoreRequest) -> Call[ScoreReply]:
        """Step scores of the responses of one question, in their order."""
        return Call(ScoreReply, self.endpoint.scoring, "POST", "/v1/score", body=request, computes=True)

    @operation
    def rerank(self, request: RerankRequest) -> Call[ScoreReply]:
        """The same, best first; `top_n` leaves the others out."""
        return Call(ScoreReply, self.endpoint.scoring, "POST", "/v1/rerank", body=request, computes=True)

    @operation
    def rollouts(self, request: RolloutRequest) -> Call[RolloutReply]:
        """Samples of the policy for a batch of prompts, all of one weight version. Needs the key `internal`."""
        return Call(
            RolloutReply,
            self.endpoint.sampling,
            "POST",
            "/v1/rollouts",
            body=request,
            timeout=MODEL_SECONDS,
            computes=True,
        )

    @operation
    def load(self, checkpoint: Checkpoint) -> Call[WeightsState]:
        """Have the policy or the PRM serve a checkpoint, whichever it is one of, until something else is loaded."""
        # By what the checkpoint was trained for: policy and PRM refuse each other's weights.
        prm = checkpoint.objective == "prm"
        return Call(
            WeightsState,
            self.endpoint.prm_weights if prm else self.endpoint.policy_weights,
            "PUT",
            "/v1/weights",
            body=WeightsUpdate(artefact=checkpoint.id, manifest_sha256=checkpoint.sha256),
            timeout=MODEL_SECONDS,
        )

    @operation
    def upload(self, name: str, content: bytes) -> Call[StoredFile]:
        """Keep a file of JSON lines for batches. It is stored once more where an answer got lost on the way."""
        parts = {"purpose": (None, "batch"), "file": (name, content, "application/jsonl")}
        return Call(StoredFile, self.endpoint.bulk, "POST", "/v1/files", files=parts)

    @operation
    def files(
        self, after: str | None = None, limit: int = 20, purpose: Literal["batch", "batch_output"] | None = None
    ) -> Call[Page[StoredFile]]:
        """Files of the caller's project, newest first."""
        params = given(after=after, limit=limit, purpose=purpose)
        return Call(Page[StoredFile], self.endpoint.bulk, "GET", "/v1/files", params=params)

    @operation
    def delete_file(self, file_id: str) -> Call[DeletedFile]:
        """Delete a file. Raises Conflict while a batch reads it."""
        return Call(DeletedFile, self.endpoint.bulk, "DELETE", f"/v1/files/{file_id}")

    @operation
    def create_batch(self, create: BatchCreate, idempotency_key: str | None = None) -> Call[Batch]:
        """Begin a batch. The same key with the same body gives the same one."""
        headers = once(idempotency_key)
        return Call(Batch, self.endpoint.bulk, "POST", "/v1/batches", body=create, headers=headers)

    @operation
    def batches(self, after: str | None = None, limit: int = 20) -> Call[Page[Batch]]:
        """Batches of the caller's project, newest first."""
        params = given(after=after, limit=limit)
        return Call(Page[Batch], self.endpoint.bulk, "GET", "/v1/batches", params=params)

    @operation
    def batch(self, batch_id: str) -> Call[Batch]:
        """One batch, with how far it is."""
        return Call(Batch, self.endpoint.bulk, "GET", f"/v1/batches/{batch_id}")

    @operation
    def cancel_batch(self, batch_id: str) -> Call[Batch]:
        """End a batch after the request in hand."""
        return Call(Batch, self.endpoint.bulk, "POST", f"/v1/batches/{batch_id}/cancel")
