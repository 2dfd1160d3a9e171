"""What a committed step may leave: the rules by which a commit is refused before it is stored. Pure."""

import math
from typing import Any

from mstar.api.steps import Commit
from mstar.errors import InvalidInput
from mstar_coordinator.store.records import StepRecord


def check_commit(step: StepRecord, commit: Commit) -> None:
    """Raises InvalidInput when artefact or result can't be this step's, or a number is not finite."""
    declared = step.spec.declaration
    if commit.result.kind != declared.result_kind:
        raise InvalidInput(
            f"step {step.name} needs a result of kind {declared.result_kind}, not {commit.result.kind}", field="result"
        )
    output = f"{step.run_id}/{step.name}"
    if commit.artefact is None and declared.artefact:
        raise InvalidInput(f"step {step.name} needs the artefact {output}", field="artefact")
    if commit.artefact is not None and commit.artefact.id != output:
        raise InvalidInput(f"the artefact of step {step.name} is {output}, not {commit.artefact.id}", field="artefact")
    # Dumped as JSON such a number becomes null, and the stored result could not be read again.
    if not _finite(commit.result.model_dump()):
        raise InvalidInput(f"the result of step {step.name} holds a number that is not finite", field="result")


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(item) for item in value.values())
    return not isinstance(value, list | tuple) or all(_finite(item) for item in value)
