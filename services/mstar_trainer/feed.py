"""Reads the rows of a train step shard by shard in the order of its claim, and waits for shards to arrive."""

from collections.abc import Callable, Iterator, Mapping

from mstar.api.steps import Claim, StepInput
from mstar.errors import InvalidDataset, InvalidInput
from mstar.stages.train import TRAIN
from mstar.steps import ArtefactRef
from mstar.types import SelectedRow, StepLabelRow
from mstar_artefacts.store import ArtefactStore
from mstar_trainer.batches import Example, prm_examples, sft_examples

More = Callable[[], Mapping[str, StepInput]]
"""Waits for the next inputs to arrive."""

NOTHING = {
    "sft": "no response was kept; sample more (n, questions) or select less strictly (evolution.selection)",
    "prm": "no solution was labelled; sample more (prm.n, prm.questions) or allow longer ones (prm.max_steps)",
}
"""Why no shard of an objective holds a row, and what to change."""


class Feed:
    """Iterates over the shards once. The order of arrival affects when a shard is read, never the order of rows."""

    def __init__(self, store: ArtefactStore, claim: Claim, more: More) -> None:
        self.rows = 0
        """Rows of the shards so far."""
        self._shards = 0
        self._store = store
        self._form = claim.recipe.form
        self._params = TRAIN.narrow(claim.step.params)
        self._inputs = dict(claim.inputs)
        self._awaited = set(claim.step.streams)
        self._more = more
        self._step = claim.step.name

    def __len__(self) -> int:
        """Number of shards, those included that have not arrived."""
        return len(self._params.data)

    def __iter__(self) -> Iterator[list[Example]]:
        """Raises InvalidDataset when no shard holds a row, and InvalidInput for an input that the claim lacks."""
        for name in self._params.data:
            examples = self._read(self._artefact(name))
            self._shards += 1
            self.rows += len(examples)
            yield examples
        if not self.rows:
            raise InvalidDataset(f"nothing to train on: {NOTHING[self._params.objective]}", field="data")

    def expected_rows(self) -> int:
        """Rows of all shards: exact once the last is read, until then extrapolated from the shards so far."""
        return -(-self.rows * len(self._params.data) // max(1, self._shards))

    def _artefact(self, name: str) -> ArtefactRef:
        while name not in self._inputs and name in self._awaited:
            # Waits for this shard even if a later one is there: the order of rows must not depend on which came first.
            self._inputs |= self._more()
        return artefact_of(self._inputs, name, self._step)

    def _read(self, ref: ArtefactRef) -> list[Example]:
        if self._params.objective == "sft":
            return sft_examples(self._store.rows(ref, SelectedRow), self._form)
        return prm_examples(self._store.rows(ref, StepLabelRow), self._form.step_separator)


def artefact_of(inputs: Mapping[str, StepInput], name: str, step: str) -> ArtefactRef:
    """The artefact of the step `name` among the inputs. Raises InvalidInput when it is not there."""
    given = inputs.get(name)
    if given is None or given.artefact is None:
        raise InvalidInput(f"step {step} needs the artefact of {name}, which its claim lacks", field="inputs")
    return given.artefact
