"""The cluster through the `kubernetes` client, with four verbs: get and patch the scale of two deployments, list pods,
create Jobs.

A Job is made from the pod template that the chart renders; Kubernetes removes it some minutes after its end, and with
that allows another attempt. Nothing is deleted or watched from here, and no secret is read.
"""

import copy
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

    def __init__(self, release: Release, api: client.ApiClient | None = None) -> None:
        """Inside a pod the service account says where the API is. Raises InvalidInput elsewhere without `api`."""
        self._release = release
        self._api = api or _in_cluster()
        self._apps, self._core, self._batch = (
            kind(self._api) for kind in (client.AppsV1Api, client.CoreV1Api, client.BatchV1Api)
        )

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
        body = self.job(step_id, epoch)
        with _told(allowed=EXISTS):
            self._batch.create_namespaced_job(self._release.namespace, body, _request_timeout=SECONDS)

    def job(self, step_id: str, epoch: int) -> dict[str, Any]:
        """The Job for one attempt at a train step, named after both so that it cannot be made twice.

        `epoch` is that of the last attempt; the first node's claim raises it by one.
        """
        job = copy.deepcopy(self._template())
        digest = hashlib.sha256(f"{step_id} {epoch}".encode()).hexdigest()[:10]
        name = f"{self._release.prefix}-train-{digest}"
        job["metadata"]["name"] = name
        pod = job["spec"]["template"]["spec"]
        given = {"MSTAR_TRAINER_STEP": step_id}
        if (nodes := job["spec"].get("completions", 1)) > 1:
            given |= {
                "MSTAR_TRAINER_NODES": str(nodes),
                "MSTAR_TRAINER_EPOCH": str(epoch + 1),
                "MSTAR_TRAINER_FIRST_NODE": f"{name}-0.{pod['subdomain']}",
            }
        pod["containers"][0]["env"] += [{"name": key, "value": value} for key, value in given.items()]
        return job

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
