"""The cluster through the `kubernetes` client, with four verbs: get and patch the scale of two deployments, list pods,
create Jobs (or what stands for them).

A Job is made from the template that the chart renders; Kubernetes removes it some minutes after its end, and with
that allows another attempt. Nothing is deleted or watched from here, and no secret is read.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from mstar.errors import InvalidInput, Unavailable
from mstar.phases import TURNS, Pods
from mstar.steps import Queue
from mstar_coordinator.cluster.workloads import filled

COMPONENTS = {Queue.ROLLOUT: "policy", Queue.SCORE: "prm", Queue.TRAIN: "trainer"}
"""Label `app.kubernetes.io/component` of each queue's pods."""
SECONDS = (3, 10)
"""Patience for a connection and for an answer."""
ENDED = ("Succeeded", "Failed")
"""Phases in which a pod holds no GPU any more."""
EXISTS = 409


@dataclass(frozen=True)
class Release:
    """What this installation of the chart is called, and how large its services are."""

    namespace: str
    instance: str
    """Label `app.kubernetes.io/instance` of its pods."""
    prefix: str
    """Begins the names of its deployments and Jobs."""
    replicas: Mapping[Queue, int]
    job: Path
    """File of the Job that trains, as the chart renders it, without a name."""


class KubernetesCluster:
    """A `Cluster` in one namespace."""

    jobs = True

    def __init__(self, release: Release, api: client.ApiClient | None = None) -> None:
        """Inside a pod the service account says where the API is. Raises InvalidInput elsewhere without `api`."""
        self._release = release
        self._api = api or _in_cluster()
        self._apps, self._core = client.AppsV1Api(self._api), client.CoreV1Api(self._api)
        self._objects = client.CustomObjectsApi(self._api)

    def pods(self) -> Mapping[Queue, Pods]:
        by_component = self._pods_by_component()
        found = {}
        for queue in TURNS:
            there = by_component.get(COMPONENTS[queue], [])
            asked = bool(there) if queue is Queue.TRAIN else self._replicas(queue) > 0
            found[queue] = Pods(asked=asked, there=len(there), ready=sum(map(_is_ready, there)))
        return found

    def scale(self, queue: Queue, *, up: bool) -> None:
        replicas = self._release.replicas[queue] if up else 0
        if self._replicas(queue) == replicas:
            return
        with _told():
            self._apps.patch_namespaced_deployment_scale(
                self._deployment(queue),
                self._release.namespace,
                {"spec": {"replicas": replicas}},
                _request_timeout=SECONDS,
            )

    def start_training(self, step_id: str, epoch: int) -> None:
        digest = hashlib.sha256(f"{step_id} {epoch}".encode()).hexdigest()[:10]
        # Named after both, so that an attempt is made once only.
        body = filled(self._template(), f"{self._release.prefix}-train-{digest}", step_id, epoch)
        with _told(allowed=EXISTS):
            self._create(body)

    def close(self) -> None:
        self._api.close()

    def _template(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = yaml.safe_load(self._release.job.read_text(encoding="utf-8"))
        except OSError as error:
            raise InvalidInput(
                f"the Job template {self._release.job.name} cannot be read: {error.strerror}", field="job_template"
            ) from error
        return found

    def _create(self, body: dict[str, Any]) -> None:
        group, version = body["apiVersion"].split("/")
        plural = f"{body['kind'].lower()}s"
        # Not the client's own type for Jobs: it refuses numbers as quantities, which Kubernetes takes.
        self._objects.create_namespaced_custom_object(
            group, version, self._release.namespace, plural, body, _request_timeout=SECONDS
        )

    def _replicas(self, queue: Queue) -> int:
        with _told():
            scale = self._apps.read_namespaced_deployment_scale(
                self._deployment(queue), self._release.namespace, _request_timeout=SECONDS
            )
        return int(scale.spec.replicas or 0)

    def _pods_by_component(self) -> dict[str, list[Any]]:
        """Pods of this release that hold or may hold a GPU."""
        with _told():
            listed = self._core.list_namespaced_pod(
                self._release.namespace,
                label_selector=f"app.kubernetes.io/name=mstar,app.kubernetes.io/instance={self._release.instance}",
                _request_timeout=SECONDS,
            )
        found: dict[str, list[Any]] = {}
        for pod in listed.items:
            if pod.status.phase not in ENDED:
                found.setdefault(pod.metadata.labels.get("app.kubernetes.io/component", ""), []).append(pod)
        return found

    def _deployment(self, queue: Queue) -> str:
        return f"{self._release.prefix}-{COMPONENTS[queue]}"


def _in_cluster() -> client.ApiClient:
    try:
        config.load_incluster_config()
    except config.ConfigException as error:
        raise InvalidInput(
            "gpu_sharing needs a Kubernetes service account, which this process has not: run in the chart's pod, or "
            "set gpu_sharing=dedicated",
            field="gpu_sharing",
        ) from error
    return client.ApiClient()


def _is_ready(pod: Any) -> bool:
    """Ready, and not on its way out."""
    conditions = pod.status.conditions or []
    return pod.metadata.deletion_timestamp is None and any(c.type == "Ready" and c.status == "True" for c in conditions)


@contextmanager
def _told(allowed: int | None = None) -> Iterator[None]:
    """What the API server refuses, or that there is none, as an error of ours."""
    try:
        yield
    except ApiException as error:
        if error.status != allowed:
            raise Unavailable(f"Kubernetes refused: {error.status} {error.reason}") from error
    except (HTTPError, OSError) as error:
        raise Unavailable(f"the Kubernetes API can't be reached: {type(error).__name__}") from error
