"""To which pods people are sent. Where services take turns a pod is ready as soon as it lives, and weights come later.

That the probes pass then is tried on real processes, in `test_processes.py`.
"""

from chart_bench import OPENING, pods, render


def test_people_are_sent_to_pods_with_weights_only() -> None:
    for values, name in ((OPENING["dedicated"], "demo-mstar-prm"), (OPENING["nodes"], "demo-mstar-scoring")):
        (one,) = pods(render(values))[name]["containers"]
        assert one["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (prm,) = pods(render(OPENING["nodes"]))["demo-mstar-prm"]["containers"]
    assert "readinessProbe" not in prm, "beside a scoring deployment people do not come here"
