"""Line charts as SVG text: axes with units, direct labels, the same colours everywhere. No script, no outside file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 120, 16, 44
LABEL_HEIGHT = 13
MANY_POINTS = 40
"""From here on, points are not marked one by one."""
# Okabe and Ito's palette, which colour-blind readers can tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")

Place = Callable[[float, float], tuple[float, float]]
"""From data to picture coordinates."""


@dataclass(frozen=True)
class ChartLine:
    """One named series; a value of None leaves a gap."""

    name: str
    points: Sequence[tuple[float, float | None]]
    ring: float | None = None
    """x of a point to ring."""


@dataclass(frozen=True)
class Band:
    """A shaded area between two series over the same x."""

    name: str
    low: Sequence[tuple[float, float | None]]
    high: Sequence[tuple[float, float | None]]


def chart(
    lines: Sequence[ChartLine],
    x_label: str,
    y_label: str,
    *,
    x_names: Sequence[tuple[float, str]] = (),
    band: Band | None = None,
    bands: Sequence[Band] = (),
) -> str:
    """An SVG element, or a sentence that says what will appear when there is nothing to draw.

    `band`: one area of a colour of its own. `bands`: one for each of the first lines, in the line's colour.
    """
    edges = [point for one in bands for point in (*one.low, *one.high)]
    known = [(x, y) for x, y in (*(point for line in lines for point in line.points), *edges) if y is not None]
    if not known:
        awaited = escape(y_label[:1].upper() + y_label[1:])
        return f"<p class='empty'>{awaited} will appear here once it has been measured.</p>"
    x_ticks = list(x_names) or _ticks([x for x, _ in known])
    y_ticks = _ticks([y for _, y in known])
    # Named x ticks may lie inside the data, y ticks always enclose it.
    place = _placing([x for x, _ in x_ticks] + [x for x, _ in known], [y for y, _ in y_ticks])
    parts = [*_shaded(band, place), *_axes(x_ticks, y_ticks, place)]
    for number, one in enumerate(bands):
        parts += _shaded(one, place, COLOURS[number % len(COLOURS)])
    ends: list[tuple[float, float, str, str]] = []
    for number, line in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        parts += _series(line, colour, place)
        last = next(((x, y) for x, y in reversed(line.points) if y is not None), None)
        if last is not None:
            ends.append((*place(*last), colour, line.name))
    parts += _labels(ends)
    parts.append(_text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label, "middle"))
    turned = f"transform='translate(12 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)'"
    parts.append(f"<text class='axis' {turned} text-anchor='middle'>{escape(y_label)}</text>")
    return f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{escape(y_label)}'>{''.join(parts)}</svg>"


def _placing(xs: Sequence[float], ys: Sequence[float]) -> Place:
    low_x, low_y = min(xs), min(ys)
    span_x, span_y = (max(xs) - low_x) or 1.0, (max(ys) - low_y) or 1.0

    def place(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - low_x) / span_x * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - low_y) / span_y * (HEIGHT - TOP - BOTTOM)
        return round(across, 1), round(down, 1)

    return place


def _series(line: ChartLine, colour: str, place: Place) -> list[str]:
    parts = []
    for run in _unbroken(line.points):
        path = " ".join(f"{x},{y}" for x, y in (place(*point) for point in run))
        parts.append(f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>")
    known = [(x, y) for x, y in line.points if y is not None]
    dots = known if len(known) < MANY_POINTS else []
    for radius, marked, fill in ((2.6, dots, colour), (7, [p for p in known if p[0] == line.ring], "none")):
        for x, y in marked:
            across, down = place(x, y)
            parts.append(f"<circle cx='{across}' cy='{down}' r='{radius}' fill='{fill}' stroke='{colour}'/>")
    return parts


def _shaded(band: Band | None, place: Place, colour: str | None = None) -> list[str]:
    """The band's outline, there along `high` and back along `low`, over the x where both are known."""
    if band is None:
        return []
    pairs = [(x, high, low) for (x, high), (_, low) in zip(band.high, band.low, strict=True)]
    both = [(x, high, low) for x, high, low in pairs if high is not None and low is not None]
    outline = [place(x, high) for x, high, _ in both] + [place(x, low) for x, _, low in reversed(both)]
    path = " ".join(f"{x},{y}" for x, y in outline)
    look = "class='band'" if colour is None else f"fill='{colour}' fill-opacity='0.12'"
    return [f"<polygon points='{path}' {look}><title>{escape(band.name)}</title></polygon>"] if both else []


def _labels(ends: Sequence[tuple[float, float, str, str]]) -> list[str]:
    """Series names beside their last points, moved down where two would overlap, and up where the chart ends."""
    ordered = sorted(ends, key=lambda end: end[1])
    heights: list[float] = []
    for _, down, _, _ in ordered:
        heights.append(max(down, heights[-1] + LABEL_HEIGHT) if heights else down)
    # From below, so that the last label stays above the axis and the others keep their distance to it.
    for place in reversed(range(len(heights))):
        below = heights[place + 1] - LABEL_HEIGHT if place + 1 < len(heights) else HEIGHT - BOTTOM
        heights[place] = min(heights[place], below)
    return [
        f"<text x='{across + 10}' y='{height + 4:.1f}' fill='{colour}'>{escape(name)}</text>"
        for (across, _, colour, name), height in zip(ordered, heights, strict=True)
    ]


def _axes(x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]], place: Place) -> list[str]:
    parts = []
    for value, name in y_ticks:
        _, down = place(x_ticks[0][0], value)
        parts.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{down}' y2='{down}' class='grid'/>")
        parts.append(_text(LEFT - 6, down + 4, name, "end"))
    return parts + [
        _text(place(value, y_ticks[0][0])[0], HEIGHT - BOTTOM + 16, name, "middle") for value, name in x_ticks
    ]


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f"<text class='axis' x='{x}' y='{y}' text-anchor='{anchor}'>{escape(text)}</text>"


def _unbroken(points: Sequence[tuple[float, float | None]]) -> list[list[tuple[float, float]]]:
    """Stretches between gaps."""
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            runs.append([])
        else:
            runs[-1].append((x, y))
    return [run for run in runs if run]


def _ticks(values: Sequence[float]) -> list[tuple[float, str]]:
    """Three to seven round numbers that enclose the values."""
    low, high = min(values), max(values)
    if low == high:
        low, high = low - 0.5, high + 0.5
    # Four steps over the range, rounded up to 1, 2, 2.5 or 5 times a power of ten.
    power = 10.0 ** floor(log10((high - low) / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= (high - low) / 4)
    # Divisions leave 2.9999…; without the allowance a chart from 0 to 3 would begin a step lower or end one higher.
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [(number * step, f"{number * step:.6g}") for number in range(first, last + 1)]
