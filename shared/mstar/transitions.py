"""Tables of states and events, and the one way to look something up in them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from mstar.errors import IllegalTransition

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


def next_state(table: Mapping[tuple[State, Event], State], what: str, state: State, event: Event) -> State:
    """The state after an event. Raises IllegalTransition, which names the possible events, where the table has none.

    `what`: what is in that state, such as "run".
    """
    if (state, event) in table:
        return table[state, event]
    possible = ", ".join(sorted(known.value for before, known in table if before is state))
    raise IllegalTransition(
        f"cannot {event.value} a {what} that is {state.value}; possible now: {possible or 'nothing'}"
    )
