"""Judges of outside benchmarks: one file for each, with its official prompt, its official rule and its table.

They are for reporting numbers that others report. Training rewards come from the stricter `mstar.answers`: several of
these rules map a wrong answer to the nearest option, or take the last letter of a text.
"""

from dataclasses import replace

from mstar.errors import InvalidInput
from mstar.judges.ai2d import AI2D
from mstar.judges.benchmark import Average, Benchmark, Item
from mstar.judges.m3cot import M3COT
from mstar.judges.mathvista import MATHVISTA
from mstar.judges.mmbench import MMBENCH
from mstar.judges.mmbench import REASONING as MMBENCH_REASONING
from mstar.judges.mmstar import MMSTAR
from mstar.judges.mmstar import REASONING as MMSTAR_REASONING

MMSTAR_R = replace(
    MMSTAR, name="mmstar-r", title="MMStar-R", columns=MMSTAR_REASONING, average=Average.COLUMNS, only_columns=True
)
"""The reasoning groups alone, each with the same weight (LLaVA-CoT, arXiv 2411.10440, appendix E)."""
MMBENCH_R = replace(
    MMBENCH, name="mmbench-r", title="MMBench-R", columns=MMBENCH_REASONING, average=Average.COLUMNS, only_columns=True
)
"""The reasoning groups alone, each with the same weight (the same source)."""
BENCHMARKS = {one.name: one for one in (MATHVISTA, M3COT, MMSTAR_R, MMBENCH_R, AI2D, MMSTAR, MMBENCH)}
"""By name, the paper's five first and in the order of its table."""


def benchmark(name: str) -> Benchmark:
    """A benchmark by its name. Raises InvalidInput with the names that there are."""
    found = BENCHMARKS.get(name.strip().casefold())
    if found is None:
        raise InvalidInput(f"{name[:40]!r} is not a benchmark here: use {', '.join(BENCHMARKS)}", field="on")
    return found


__all__ = ["BENCHMARKS", "Average", "Benchmark", "Item", "benchmark"]
