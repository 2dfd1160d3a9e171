"""A Kubernetes API server as far as turns on GPUs need it: on a real socket, with pods that start and end by ticks.

It notes every verb that is used, with its resource.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from mstar.phases import TURNS
from mstar.steps import Queue
from mstar_coordinator.cluster.kubernetes_cluster import COMPONENTS, KubernetesCluster, Release

JOB = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"labels": {"app.kubernetes.io/component": "trainer"}},
    "spec": {"template": {"spec": {"containers": [{"name": "trainer", "env": []}]}}},
}
ROUTES = (
    ("get", "apps", "deployments/scale", re.compile(r"/apis/apps/v1/namespaces/ns/deployments/m-(\w+)/scale")),
    ("list", "", "pods", re.compile(r"/api/v1/namespaces/ns/pods\?labelSelector=.*instance%3Dthis")),
    ("create", "batch", "jobs", re.compile(r"/apis/batch/v1/namespaces/ns/jobs")),
    ("create", "jobset.x-k8s.io", "jobsets", re.compile(r"/apis/jobset.x-k8s.io/v1alpha2/namespaces/ns/jobsets")),
    ("create", "trainer.kubeflow.org", "trainjobs", re.compile(r"/apis/trainer.*/v1alpha1/namespaces/ns/trainjobs")),
)


class ApiServer:
    """One namespace with the deployments `m-policy` and `m-prm` of the release `this`."""

    def __init__(self, folder: Path) -> None:
        self.replicas = {"policy": 1, "prm": 1}
        self.pods: list[dict[str, Any]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.used: set[tuple[str, str, str]] = set()
        """(verb, API group, resource) of every request."""
        self.refuse: int | None = None
        """Status that every request is answered with."""
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._job = folder / "job.yaml"
        self._job.write_text(yaml.safe_dump(JOB))

    def __enter__(self) -> "ApiServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def cluster(self, job: Path | None = None) -> KubernetesCluster:
        settings = client.Configuration(host=f"http://127.0.0.1:{self._server.server_address[1]}")
        settings.retries = False
        release = Release("ns", "this", "m", {Queue.ROLLOUT: 1, Queue.SCORE: 2}, job or self._job)
        return KubernetesCluster(release, client.ApiClient(settings))

    def tick(self) -> None:
        """Pods that were made answer, pods that end are gone, and what is missing or too many changes."""
        with self._lock:
            self.pods = [pod for pod in self.pods if not pod["metadata"].get("deletionTimestamp")]
            for pod in self.pods:
                pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
            for component, wanted in self.replicas.items():
                there = [pod for pod in self.pods if component_of(pod) == component]
                self.pods += [_pod(component)] * max(0, wanted - len(there))
                for pod in there[wanted:]:
                    pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"

    def holders(self) -> set[str]:
        """Components that have pods."""
        return {component_of(pod) for pod in self.pods}

    def end_training(self) -> None:
        """The pods of Jobs end."""
        with self._lock:
            self.pods = [pod for pod in self.pods if component_of(pod) != "trainer"]

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        if self.refuse is not None:
            return self.refuse, {"message": "no"}
        for verb, group, resource, pattern in ROUTES:
            if (match := pattern.fullmatch(path)) is not None:
                self.used.add(({"PATCH": "patch"}.get(method, verb), group, resource))
                answers = {"deployments/scale": self._scale, "pods": self._pods}
                with self._lock:
                    return answers.get(resource, self._jobs)(method, match, body)
        return 404, {"message": path}

    def _scale(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        if method == "PATCH":
            self.replicas[match[1]] = json.loads(body)["spec"]["replicas"]
        return 200, {"spec": {"replicas": self.replicas[match[1]]}, "status": {"replicas": 0}}

    def _pods(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        return 200, {"items": self.pods}

    def _jobs(self, method: str, match: "re.Match[str]", body: bytes) -> tuple[int, dict[str, Any]]:
        job = json.loads(body)
        name = job["metadata"]["name"]
        if name in self.jobs:
            return 409, {"reason": "AlreadyExists"}
        self.jobs[name] = job
        self.pods.append(_pod("trainer"))
        return 201, job

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = server.answer(
                    self.command, self.path, self.rfile.read(int(self.headers.get("Content-Length", 0)))
                )
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_PATCH = do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def component_of(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["labels"]["app.kubernetes.io/component"])


def _pod(component: str) -> dict[str, Any]:
    assert component in COMPONENTS.values() and len(TURNS) == len(COMPONENTS)
    return {"metadata": {"labels": {"app.kubernetes.io/component": component}}, "status": {"phase": "Pending"}}


def env_of(job: dict[str, Any]) -> dict[str, str]:
    """What a Job's container is given."""
    environment = job["spec"]["template"]["spec"]["containers"][0]["env"]
    return {one["name"]: one["value"] for one in environment if "value" in one}
