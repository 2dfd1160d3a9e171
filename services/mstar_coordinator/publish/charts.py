"""Line charts as SVG text: axes with units, direct labels, the same colours everywhere. No script, no outside file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520, 250
LEFT, RIGHT, TOP, BOTTOM = 52, 120, 16, 40
# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")


Place = Callable[[float, float], tuple[float, float]]
"""From data to picture coordinates."""


@dataclass(frozen=True)
class Line:
    """One named series; a value of None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    ring: float | None = None
    """x of a point to ring."""


def chart(lines: Sequence[Line], x_label: str, y_label: str, *, x_names: Sequence[tuple[float, str]] = ()) -> str:
    """An SVG element, or a sentence that says what will appear when there is nothing to draw."""
    known = [(x, y) for line in lines for x, y in line.points if y is not None]
    if not known:
        return f"<p class='empty'>{escape(y_label)} will appear here once it has been measured.</p>"
    low_x, high_x = _span([x for x, _ in known])
    low_y, high_y = _span([y for _, y in known])

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    parts = [*_grid(low_y, high_y, place, low_x), *_ticks(x_names or _even(low_x, high_x), place, low_y)]
    ends: list[float] = []
    for number, line in enumerate(lines):
        parts += _series(line, COLOURS[number % len(COLOURS)], place, ends)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x_label, "middle"))
    turned = f"transform='translate(12 {HEIGHT / 2}) rotate(-90)'"
    parts.append(f"<text class='axis' {turned} text-anchor='middle'>{escape(y_label)}</text>")
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(y_label)}'>{''.join(parts)}</svg>"


def _series(line: Line, colour: str, place: Place, ends: list[float]) -> list[str]:
    spots = [place(x, y) for x, y in line.points if y is not None]
    if not spots:
        return []
    path = " ".join(f"{x},{y}" for x, y in spots)
    parts = [f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"]
    if len(spots) < 40:
        parts += [f"<circle cx='{x}' cy='{y}' r='2.6' fill='{colour}'/>" for x, y in spots]
    parts += [
        f"<circle cx='{a}' cy='{b}' r='7' fill='none' stroke='{colour}' stroke-width='2'/>"
        for x, y in line.points
        if y is not None and x == line.ring
        for a, b in [place(x, y)]
    ]
    height = spots[-1][1]
    while any(abs(height - other) < 12 for other in ends):
        height += 12
    ends.append(height)
    parts.append(f"<text x='{spots[-1][0] + 8}' y='{height + 4}' fill='{colour}'>{escape(line.name)}</text>")
    return parts


def _grid(low: float, high: float, place: Place, x: float) -> list[str]:
    parts = []
    for value, name in _even(low, high):
        _, down = place(x, value)
        parts.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{down}' y2='{down}' class='grid'/>")
        parts.append(_text(LEFT - 6, down + 4, name, "end"))
    return parts


def _ticks(names: Sequence[tuple[float, str]], place: Place, y: float) -> list[str]:
    return [_text(place(value, y)[0], HEIGHT - BOTTOM + 16, name, "middle") for value, name in names]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f"<text class='axis' x='{x}' y='{y}' text-anchor='{anchor}'>{escape(text)}</text>"


def _even(low: float, high: float, count: int = 4) -> list[tuple[float, str]]:
    values = [low + (high - low) * step / count for step in range(count + 1)]
    return [(value, f"{value:.3g}") for value in values]


def _span(values: Sequence[float]) -> tuple[float, float]:
    """A range with some air, never empty."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)
