"""Charts: well-formed SVG, places in proportion, readable labels."""

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from mstar.charts import HEIGHT, WIDTH, Band, ChartLine, chart

SVG_VALUES = st.floats(-1e4, 1e4).map(lambda value: round(value, 3))


def numbers(element: ElementTree.Element) -> list[tuple[float, float]]:
    pairs = (pair.split(",") for pair in element.attrib["points"].split())
    return [(float(x), float(y)) for x, y in pairs]


@given(st.lists(st.tuples(SVG_VALUES, st.none() | SVG_VALUES), min_size=1, max_size=6), st.text(max_size=8))
def test_any_series_stays_inside_the_picture(points: list[tuple[float, float | None]], name: str) -> None:
    name = "".join(c for c in name if c.isprintable())
    made = chart([ChartLine(name, points)], "temperature", "accuracy, %")
    if all(y is None for _, y in points):
        assert "will appear here" in made
        return
    for line in ElementTree.fromstring(made).iter("polyline"):
        assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in numbers(line))


def test_higher_values_stand_higher_and_gaps_stay_open() -> None:
    made = ElementTree.fromstring(chart([ChartLine("a", [(1, 10.0), (2, 30.0), (3, None), (4, 20.0)])], "x", "y"))
    first, second = [numbers(line) for line in made.iter("polyline")]
    assert first[0][1] > second[0][1] > first[1][1]
    assert first[0][0] < first[1][0] < second[0][0]


def test_ticks_are_round_and_enclose_the_values() -> None:
    made = ElementTree.fromstring(
        chart([ChartLine("a", [(0, 18.0), (1, 74.0)])], "x", "accuracy, %", x_names=[(0, "base")])
    )
    texts = [text.text for text in made.iter("text")]
    assert texts[:5] == ["0", "20", "40", "60", "80"]
    assert {"base", "x", "accuracy, %", "a"} <= set(texts)


def test_chosen_point_is_ringed() -> None:
    made = ElementTree.fromstring(chart([ChartLine("a", [(0.5, 1.0), (0.9, 2.0)], ring=0.9)], "x", "y"))
    rings = [circle for circle in made.iter("circle") if circle.attrib["fill"] == "none"]
    line = next(made.iter("polyline"))
    assert [(float(r.attrib["cx"]), float(r.attrib["cy"])) for r in rings] == [numbers(line)[1]]


def test_names_of_close_series_do_not_overlap() -> None:
    names = ["a", "b", "c", "d"]
    lines = [ChartLine(name, [(0, 5.0), (1, 0.01 * place)]) for place, name in enumerate(names)]
    made = ElementTree.fromstring(chart(lines, "x", "y"))
    heights = sorted(float(text.attrib["y"]) for text in made.iter("text") if text.text in names)
    assert all(low - high >= 12.9 for high, low in pairwise(heights))
    assert heights[-1] <= HEIGHT


def test_band_spans_where_both_series_are_known() -> None:
    low: list[tuple[float, float | None]] = [(0, 1.0), (1, 2.0), (2, None)]
    high: list[tuple[float, float | None]] = [(0, 3.0), (1, 4.0), (2, 5.0)]
    made = ElementTree.fromstring(chart([ChartLine("a", low)], "x", "y", band=Band("headroom", low, high)))
    assert len(numbers(next(made.iter("polygon")))) == 4


def test_names_are_escaped() -> None:
    assert "<b>" not in chart([ChartLine("<b>", [(0, 1.0)])], "<b>", "<b>")
