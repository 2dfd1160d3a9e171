"""Reads the query of a list page: which runs or evaluations, and from which one on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Query

from mstar.evolution import RunState
from mstar_coordinator.store.database import Transaction
from mstar_coordinator.store.run_tags import RunFilter

ON_A_PAGE = 50
STATES = tuple(state.value for state in RunState)


@dataclass(frozen=True)
class Listed:
    """A filter, and the place in the list."""

    after: str | None
    state: str | None
    tag: str | None
    text: str | None
    archived: bool

    def page(self, tx: Transaction, project: str | None, *, evaluations: bool = False) -> tuple[list[str], str | None]:
        """Ids of a page, and the query string of the next one, None at the end. `project`: None for all projects."""
        state = RunState(self.state) if self.state else None
        wanted = RunFilter(project, state, self.tag, self.text, self.archived, evaluations)
        ids = tx.tags.page(wanted, self.after, ON_A_PAGE + 1)
        return ids[:ON_A_PAGE], self._next(ids)

    @property
    def asked(self) -> dict[str, str]:
        """The fields of the filter that are set, as a form has them."""
        given = {"state": self.state, "tag": self.tag, "text": self.text, "archived": "true" if self.archived else None}
        return {name: value for name, value in given.items() if value}

    def _next(self, ids: Sequence[str]) -> str | None:
        return urlencode(self.asked | {"after": ids[ON_A_PAGE - 1]}) if len(ids) > ON_A_PAGE else None


def _listed(
    after: Annotated[str | None, Query(max_length=40, pattern="^[a-z0-9-]*$")] = None,
    state: Annotated[str | None, Query(pattern=f"^({'|'.join(STATES)})?$")] = None,
    tag: Annotated[str | None, Query(max_length=40)] = None,
    text: Annotated[str | None, Query(max_length=80)] = None,
    archived: bool = False,
) -> Listed:
    # A form sends the fields that nobody filled in as empty texts.
    return Listed(after or None, state or None, tag or None, text or None, archived)


Asked = Annotated[Listed, Depends(_listed)]
