"""Side by side: our way and another on the same work. `make bench` runs every row and writes results.{md,json}.

Machines are shared and noisy, so each comparison alternates (ours, other, other, ours), takes at least five pairs, and
reports medians of CPU-seconds; wall time and counted work stand beside them. Numbers never decide a test.
"""

import sys
from pathlib import Path

# Models and rows are made by what the tests have for that, which is installed nowhere.
sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
