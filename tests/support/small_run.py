"""Overrides that make of the demo a run of seconds, with every kind of step in it."""

from typing import Any

SMALL: dict[str, Any] = {
    "data.train": 60,
    "data.validation": 10,
    "data.test_id": 20,
    "data.test_ood": 10,
    "generation.shard_questions": 10,
    "warmup.questions": 20,
    "prm.questions": 10,
    "prm.n": 2,
    "prm.completions": 3,
    "prm.balance": False,
    "evolution.questions": 20,
    "evolution.iterations": 2,
    "evolution.n": 4,
    "exploration.start": 2,
    "exploration.grid": [0.7, 1.0],
    "exploration.questions": 5,
    "exploration.n": 4,
    "evaluation.n": 4,
    "evaluation.k": 4,
}
TESTED: dict[str, Any] = SMALL | {"data.test_id": 8, "data.test_ood": 4, "evaluation.n": 2, "evaluation.k": 2}
"""The same with fewer questions in its tests, which a real model answers after each iteration."""
