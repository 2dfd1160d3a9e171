"""Chains of the set: three readings and two operations, in six forms that are equally sound.

Three wordings times two orders. What a step claims, whatever its wording, is read by `mstar.soundness`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from minivista.study.arithmetic import result
from minivista.study.scenes import Scene

WORDINGS = (("is", "="), ("shows", "gives"), ("has", "makes"))
"""How a chain writes its readings and its operations."""
ORDERS = ("as needed", "readings first")
"""Whether the third cell is read when it is needed, or before any operation."""


@dataclass(frozen=True)
class Form:
    """One of the six ways to write a chain."""

    wording: tuple[str, str]
    order: str


FORMS = tuple(Form(wording, order) for wording in WORDINGS for order in ORDERS)


def reading(form: Form, name: str, value: int) -> str:
    """A step that says what a cell shows."""
    return f"{name} {form.wording[0]} {value}"


def operation(form: Form, sign: str, first: int, second: int, value: int) -> str:
    """A step that calculates."""
    return f"{first} {sign} {second} {form.wording[1]} {value}"


def arranged(form: Form, readings: Sequence[str], operations: Sequence[str]) -> tuple[str, ...]:
    """The five steps of a chain in its order."""
    if form.order == "readings first":
        return (*readings, *operations)
    return (*readings[:2], operations[0], readings[2], operations[1])


def sound_chain(scene: Scene, form: Form = FORMS[0]) -> tuple[str, ...]:
    """The steps that the renderer knows to be right."""
    first, second, third = (scene.value(name) for name in scene.asked)
    inner, outer = scene.signs
    between = result(inner, first, second)
    operations = (
        operation(form, inner, first, second, between),
        operation(form, outer, between, third, result(outer, between, third)),
    )
    readings = [reading(form, name, scene.value(name)) for name in scene.asked]
    return arranged(form, readings, operations)
