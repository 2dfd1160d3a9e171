"""The pages beside the benchmarks say what their scripts say of the recorded numbers, not what they once said."""

import json

from benchmarks import gpu_sharing, scale


def test_the_scale_page_is_the_report_of_what_was_recorded() -> None:
    found = json.loads(scale.RESULTS.read_text())
    assert scale.RESULTS.with_suffix(".md").read_text() == scale.report(found)
    assert {one["responses"] for one in found if one["database"] == "SQLite"} == set(scale.SIZES)


def test_the_gpu_sharing_page_is_its_report() -> None:
    assert gpu_sharing.PAGE.read_text() == gpu_sharing.report()
