"""A Kubernetes API server as far as turns on GPUs need it: on a real socket, with pods that start and end by ticks.

It notes every verb that is used, with its resource. Pods become ready by the probes that the chart gives them.
"""

import functools
import json
import re
import threading
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from chart_bench import pods, render
from handler_server import HandlerServer, QuietHandler
from mstar.steps import Queue
from mstar_coordinator.cluster.interface import COMPONENTS
from mstar_coordinator.cluster.kubernetes import HelmRelease, KubernetesCluster

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"labels": {"app.kubernetes.io/component": "trainer"}},
    "spec": {"template": {"spec": {"containers": [{"name": "trainer", "env": []}]}}},
}
SPACE = r"/apis/{}/namespaces/ns/{}(?:/(?P<name>[a-z0-9-]+))?(?:\?(?P<query>.*))?"
ROUTES = (
    ("apps", "deployments/scale", re.compile(r"/apis/apps/v1/namespaces/ns/deployments/m-(\w+)/scale")),
    ("", "pods", re.compile(r"/api/v1/namespaces/ns/pods\?labelSelector=.*instance%3Dthis")),
    ("", "configmaps", re.compile(r"/api/v1/namespaces/ns/configmaps/m-trainer-job")),
    ("batch", "jobs", re.compile(SPACE.format("batch/v1", "jobs"))),
    ("jobset.x-k8s.io", "jobsets", re.compile(SPACE.format("jobset.x-k8s.io/v1alpha2", "jobsets"))),
    ("trainer.kubeflow.org", "trainjobs", re.compile(SPACE.format("trainer.kubeflow.org/v1alpha1", "trainjobs"))),
)
VERBS = {"PATCH": "patch", "POST": "create", "DELETE": "delete"}
PATCHES = ("application/merge-patch+json", "application/strategic-merge-patch+json")
"""What an API server takes an object for."""
RUNNING = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}


@functools.cache
def probed(component: str) -> frozenset[str]:
    """Paths that must answer before Kubernetes calls a pod of the default release ready."""
    if component == "trainer":
        return frozenset()
    (container,) = pods(render())[f"demo-mstar-{component}"]["containers"]
    probes = (container.get(probe) for probe in ("startupProbe", "readinessProbe"))
    return frozenset(probe["httpGet"]["path"] for probe in probes if probe is not None)


class ApiServer(HandlerServer):
    """One namespace with the deployments `m-policy` and `m-prm` of the release `this`."""

    def __init__(self, folder: Path) -> None:
        self.replicas = {"policy": 1, "prm": 1}
        self.pods: list[dict[str, Any]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.made: list[dict[str, Any]] = []
        """Every Job that was ever there."""
        self.loaded: set[str] = set()
        """Components whose pods have weights: they are pushed with the work, and gone with the pods."""
        self.kept_from: dict[str, dict[str, Any]] = {}
        """Component → status of pods of it that cannot start."""
        self.used: set[tuple[str, str, str]] = set()
        """(verb, API group, resource) of every request."""
        self.refuse: int | None = None
        """Status that every request is answered with."""
        self._lock = threading.Lock()
        super().__init__(self._handler())
        self._job = folder / "job.yaml"
        self._job.write_text(yaml.safe_dump(JOB))

    def cluster(self, job: Path | None = None) -> KubernetesCluster:
        settings = client.Configuration(host=self.url)
        settings.retries = False
        release = HelmRelease("ns", "this", "m", {Queue.ROLLOUT: 1, Queue.SCORE: 2}, job or self._job)
        return KubernetesCluster(release, client.ApiClient(settings))

    def tick(self) -> None:
        """Pods that were made live, pods that end are gone, and what is missing or too many changes."""
        with self._lock:
            self.pods = [one for one in self.pods if not one["metadata"].get("deletionTimestamp")]
            for one in filter(_lives, self.pods):
                one["status"] = self.kept_from.get(component_of(one)) or self._status(component_of(one))
            for component, wanted in self.replicas.items():
                there = [pod for pod in self.pods if component_of(pod) == component]
                self.pods += [pod(component, f"m-{component}-{place}") for place in range(len(there), wanted)]
                for one in there[wanted:]:
                    one["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
                    self.loaded.discard(component)

    def _status(self, component: str) -> dict[str, Any]:
        answering = {"/livez", "/readyz"} if component in self.loaded else {"/livez"}
        return RUNNING if probed(component) <= answering else {"phase": "Running"}

    def holders(self) -> set[str]:
        """Components that have pods which may hold a GPU."""
        return {component_of(one) for one in self.pods if _lives(one)}

    def end_training(self, exit_code: int = 0, log: str = "") -> None:
        """The pods of Jobs end, and the Jobs with them."""
        ended = {"exitCode": exit_code, "reason": "Error" if exit_code else "Completed", "message": log}
        container = {"name": "node", "image": "i", "imageID": "i", "ready": False, "restartCount": 0}
        with self._lock:
            for one in self.pods:
                if component_of(one) == "trainer" and _lives(one):
                    one["status"] = {
                        "phase": "Failed" if exit_code else "Succeeded",
                        "containerStatuses": [container | {"state": {"terminated": ended}}],
                    }
            for job in self.jobs.values():
                condition = {"type": "Failed" if exit_code else "Complete", "status": "True"}
                job.setdefault("status", {"conditions": [condition]})

    def answer(self, method: str, path: str, kind: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.refuse is not None:
            return self.refuse, {"message": "no"}
        if method == "PATCH" and kind not in PATCHES:
            return 415, {"message": f"the body of the declared type {kind} is not a patch by an object"}
        for group, resource, pattern in ROUTES:
            if (match := pattern.fullmatch(path)) is not None:
                reading = "get" if resource in ("deployments/scale", "configmaps") else "list"
                self.used.add((VERBS.get(method, reading), group, resource))
                answers = {"deployments/scale": self._scale, "pods": self._pods, "configmaps": self._owner}
                with self._lock:
                    return answers.get(resource, self._jobs)(method, match, body)
        return 404, {"message": path}

    def _scale(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "PATCH":
            self.replicas[match[1]] = json.loads(body)["spec"]["replicas"]
        return 200, {"spec": {"replicas": self.replicas[match[1]]}, "status": {"replicas": 0}}

    def _owner(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        return 200, {"metadata": {"name": "m-trainer-job", "uid": "uid-of-the-template"}}

    def uninstall(self) -> None:
        """The ConfigMap of the template is deleted, and garbage collection deletes what it owns."""
        with self._lock:
            for name, job in list(self.jobs.items()):
                if {one["uid"] for one in job["metadata"].get("ownerReferences", ())} == {"uid-of-the-template"}:
                    del self.jobs[name]
                    self.pods = [one for one in self.pods if not one["metadata"]["name"].startswith(name)]

    def _pods(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        return 200, {"items": self.pods}

    def _jobs(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "DELETE":
            del self.jobs[match["name"]]
            # As with real Jobs, whose pods stay unless it is asked for.
            if "propagationPolicy=Background" in (match["query"] or ""):
                self.pods = [one for one in self.pods if not one["metadata"]["name"].startswith(match["name"])]
            return 200, {}
        if method == "GET":
            return 200, {"items": list(self.jobs.values())}
        job = json.loads(body)
        name = job["metadata"]["name"]
        if name in self.jobs:
            return 409, {"reason": "AlreadyExists"}
        self.jobs[name] = job
        self.made.append(job)
        self.pods.append(pod("trainer", f"{name}-0-x7k2p"))
        return 201, job

    def _handler(self) -> type[QuietHandler]:
        server = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                kind = self.headers.get("Content-Type", "")
                status, said = server.answer(self.command, self.path, kind, self.body())
                self.reply(status, json.dumps(said).encode())

            do_PATCH = do_POST = do_DELETE = do_GET

        return Handler


def component_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def _lives(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] in ("Pending", "Running")


def pod(component: str, name: str | None = None, **metadata: str) -> dict[str, Any]:
    """One that was made just now."""
    assert component in COMPONENTS.values()
    labels = {"app.kubernetes.io/component": component}
    named = {"name": name or f"m-{component}-0", "labels": labels}
    return {"metadata": named | metadata, "status": {"phase": "Pending"}}


def env_of(job: dict[str, Any]) -> dict[str, str]:
    """What a Job's container is given."""
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one["value"] for one in environment if "value" in one}
