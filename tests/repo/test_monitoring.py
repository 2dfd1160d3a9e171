"""Alerts, dashboard and scraping: they name metrics that the services export, and one file serves Compose and chart."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from chart_bench import CHART, OPENING, named, render
from compose_bench import GPU, ROOT, config
from coordinator_bench import SMALL, HandClock, MemoryPublisher
from mstar_artefacts.store import ArtefactStore
from mstar_coordinator.api.app import build_app as coordinator_app
from mstar_coordinator.config import CoordinatorSettings
from mstar_coordinator.store.database import open_store
from mstar_policy.app import build_app as policy_app
from mstar_policy.config import PolicySettings
from mstar_prm.app import build_app as prm_app
from mstar_prm.config import PrmSettings
from mstar_prm.hf_scorer import HfScorer
from policy_bench import FakeEngine
from web_bench import talk

ALERTS: list[dict[str, Any]] = yaml.safe_load((CHART / "monitoring" / "alerts.yaml").read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((CHART / "monitoring" / "dashboard.json").read_text())
OF_THE_SCRAPE = {"job", "instance", "namespace", "le"}
JOBS = {"mstar-coordinator", "mstar-policy", "mstar-prm"}


def expressions() -> list[str]:
    panels = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return [alert["expr"] for alert in ALERTS] + panels


def exported(app: FastAPI, *, run: bool = False) -> dict[str, set[str]]:
    """Sample → its labels, after one request, and on the coordinator after a run has begun."""

    async def scrape(client: httpx2.AsyncClient) -> str:
        if run:
            recipe = json.loads(SMALL.model_dump_json())
            assert (await client.post("/v1/runs", json={"recipe": recipe})).status_code == 202
        await client.get("/readyz")
        return (await client.get("/metrics")).text

    samples: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(talk(app, scrape)):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        samples |= {family.name + end: set() for end in ends}
        for sample in family.samples:
            samples.setdefault(sample.name, set()).update(sample.labels)
    return samples


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """Everything that the three services export."""
    home = tmp_path_factory.mktemp("metrics")
    settings = CoordinatorSettings(broker_url="redis://unused", home=home, data_root=home, reserve_bytes=0)
    coordinator = coordinator_app(settings, open_store(settings.store_url()), MemoryPublisher(), HandClock())
    found = exported(coordinator, run=True)
    for app in (
        policy_app(PolicySettings(home=home), FakeEngine(ArtefactStore(home))),
        prm_app(PrmSettings(home=home), HfScorer(home, batch_tokens=64, waiting_tokens=64)),
    ):
        for name, labels in exported(app).items():
            found.setdefault(name, set()).update(labels)
    return found | {"up": set()}


def test_every_metric_that_is_asked_for_is_exported(metrics: dict[str, set[str]]) -> None:
    asked = {name for one in expressions() for name in re.findall(r"\b(?:mstar|process)_[a-z_]+\b", one)}
    assert len(asked) > 8
    assert asked <= set(metrics)


def test_every_label_that_is_asked_for_is_there(metrics: dict[str, set[str]]) -> None:
    seen = 0
    for one in expressions():
        for name, matchers in re.findall(r"(\w+)\{([^}]*)\}", one):
            labels = set(re.findall(r"(\w+)\s*=?[=!~]", matchers)) - OF_THE_SCRAPE
            assert labels <= metrics[name], one
            seen += len(labels)
    assert seen > 10


def test_every_metric_of_our_own_is_shown_or_watched(metrics: dict[str, set[str]]) -> None:
    everything = " ".join(expressions())
    parts = ("_created", "_sum", "_count")
    own = {name for name in metrics if name.startswith("mstar_") and not name.endswith(parts)}
    assert {name for name in own if name not in everything} == set()


def test_alerts_say_what_to_do() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS) >= 6
    for alert in ALERTS:
        assert alert["labels"]["severity"] in ("critical", "warning")
        assert alert["annotations"]["summary"] and alert["annotations"]["description"].endswith((".", "again."))


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus, not from PyPI")
def test_alerts_fire_when_they_should_and_only_then() -> None:
    hours = Path(__file__).with_name("alerts.promtool.yaml")
    tested = {
        one["alertname"] for test in yaml.safe_load(hours.read_text())["tests"] for one in test["alert_rule_test"]
    }
    assert tested == {alert["alert"] for alert in ALERTS}
    done = subprocess.run(["promtool", "test", "rules", str(hours)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
        assert not cells & taken and at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_the_chart_ships_both_as_they_are() -> None:
    objects = render(OPENING["full"])
    assert named(objects, "PrometheusRule")["evolve"]["spec"]["groups"][0]["rules"] == ALERTS
    board = named(objects, "ConfigMap")["evolve-dashboard"]
    assert json.loads(board["data"]["mstar.json"]) == DASHBOARD
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    chosen = [one for one in objects if one["apiVersion"] == "monitoring.coreos.com/v1"]
    assert len(chosen) == 4 and all(one["metadata"]["labels"]["release"] == "stack" for one in chosen)
    assert not {"PrometheusRule", "ServiceMonitor"} & {one["kind"] for one in render()}
    assert "demo-mstar-dashboard" not in named(render(), "ConfigMap")


def test_jobs_have_one_name_in_compose_and_chart() -> None:
    monitors = named(render(OPENING["full"]), "ServiceMonitor").values()
    (endpoints,) = zip(*(monitor["spec"]["endpoints"] for monitor in monitors), strict=True)
    assert {one["relabelings"][0]["replacement"] for one in endpoints} == JOBS
    assert {one["authorization"]["credentials"]["key"] for one in endpoints} == {"metrics-key"}
    scraped = {one["job_name"]: one["static_configs"][0]["targets"] for one in scrape_configs()}
    assert set(scraped) == JOBS
    services = config(GPU)["services"]
    for job, (target,) in scraped.items():
        service, _, port = target.partition(":")
        assert job == f"mstar-{service}"
        assert services[service]["environment"][f"MSTAR_{service.upper()}_PORT"] == port


def scrape_configs() -> list[dict[str, Any]]:
    found = yaml.safe_load((ROOT / "docker" / "observability" / "prometheus.yml").read_text())["scrape_configs"]
    assert isinstance(found, list)
    return found


def test_the_profile_adds_two_services_and_starts_neither_unasked() -> None:
    without, services = (config(GPU)["services"], config(GPU, COMPOSE_PROFILES="observability")["services"])
    assert set(services) - set(without) == {"prometheus", "grafana"}
    for name in ("prometheus", "grafana"):
        assert services[name]["read_only"] and services[name]["cap_drop"] == ["ALL"]
        for mount in services[name]["volumes"]:
            assert mount["type"] == "volume" or (Path(mount["source"]).exists() and mount["read_only"]), mount
    assert "ports" not in services["prometheus"]
    assert [port["host_ip"] for port in services["grafana"]["ports"]] == ["127.0.0.1"]


def test_prometheus_holds_the_key_for_metrics_alone_and_finds_it_where_it_looks() -> None:
    prometheus = config(GPU, COMPOSE_PROFILES="observability")["services"]["prometheus"]
    assert prometheus["environment"] == {"METRICS_KEY": "mstar_metrics_key"}
    command = prometheus["entrypoint"][-1]
    assert {one["authorization"]["credentials_file"] for one in scrape_configs()} == {"/tmp/metrics-key"}
    assert "> /tmp/metrics-key" in command and "--config.file=/etc/prometheus/prometheus.yml" in command
    targets = {mount["target"] for mount in prometheus["volumes"]}
    rules = yaml.safe_load((ROOT / "docker" / "observability" / "prometheus.yml").read_text())["rule_files"]
    assert {"/etc/prometheus/prometheus.yml", "/prometheus", *rules} == targets


def test_grafana_finds_datasource_and_dashboard() -> None:
    services = config(GPU, COMPOSE_PROFILES="observability")["services"]
    folder = ROOT / "docker" / "observability" / "grafana"
    (source,) = yaml.safe_load((folder / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090" and source["isDefault"]
    (provider,) = yaml.safe_load((folder / "dashboards" / "mstar.yaml").read_text())["providers"]
    mounts = {mount["target"]: mount["source"] for mount in services["grafana"]["volumes"]}
    assert mounts["/etc/grafana/provisioning"] == str(folder)
    shown = f"{provider['options']['path']}/dashboard.json"
    assert mounts[shown] == str(CHART / "monitoring" / "dashboard.json")
    assert services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == shown
