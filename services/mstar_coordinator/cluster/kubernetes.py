"""The cluster through the `kubernetes` client, with the least verbs.

These are: get and patch the scale of two deployments; list pods; create, list and delete Jobs or what stands for them;
get the ConfigMap that owns them.

A Job is made from the template that the chart renders, under a name for one attempt. Those of earlier attempts that
have finished are deleted before the next is made, since not every kind goes by itself. Its owner is the ConfigMap of
the template: Kubernetes deletes the Job when `helm uninstall` deletes that. Nothing is watched, and no secret is read.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from mstar.errors import InvalidInput, Unavailable
from mstar.steps import Queue
from mstar_coordinator.cluster.interface import COMPONENTS, TURNS, Pods
from mstar_coordinator.cluster.states import ENDED, end_of, is_ready, last_words, waiting
from mstar_coordinator.cluster.workloads import filled, read_template

SECONDS = (3, 10)
"""Patience for a connection and for an answer."""
MERGE = "application/merge-patch+json"
"""Given to the API server by name: the client's own choice has changed between its versions."""
GONE, EXISTS = 404, 409
SAID = 300
"""Characters of the API server's words in a message."""
_Place = tuple[str, str, str, str]


@dataclass(frozen=True)
class HelmRelease:
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

    def __init__(self, release: HelmRelease, api: client.ApiClient | None = None) -> None:
        """Inside a pod the service account says where the API is. Raises InvalidInput elsewhere without `api`."""
        self._release = release
        self._api = api or _in_cluster()
        self._apps, self._core = client.AppsV1Api(self._api), client.CoreV1Api(self._api)
        self._objects = client.CustomObjectsApi(self._api)

    def pods(self) -> Mapping[Queue, Pods]:
        # A pod that has ended holds no GPU, though a Job's stays listed until the Job is deleted.
        pods = [pod for pod in self._pods() if pod.status.phase not in ENDED]
        found = {}
        for queue in TURNS:
            there = [pod for pod in pods if _component(pod) == COMPONENTS[queue]]
            found[queue] = Pods(
                asked=bool(there) if queue is Queue.TRAIN else self._replicas(queue) > 0,
                there=len(there),
                ready=sum(map(is_ready, there)),
                wanted=self._release.replicas.get(queue, max(1, len(there))),
                waiting=waiting(there),
            )
        return found

    def scale(self, queue: Queue, *, up: bool) -> None:
        replicas = self._release.replicas[queue] if up else 0
        if self._replicas(queue) == replicas:
            return
        with _translate_errors(f"scale deployment {self._deployment(queue)}"):
            self._apps.patch_namespaced_deployment_scale(
                self._deployment(queue),
                self._release.namespace,
                {"spec": {"replicas": replicas}},
                _request_timeout=SECONDS,
                _content_type=MERGE,
            )

    def start_training(self, step_id: str, epoch: int) -> str | None:
        digest = hashlib.sha256(f"{step_id} {epoch}".encode()).hexdigest()[:10]
        # Named after both, so that an attempt is made once only.
        name = f"{self._release.prefix}-train-{digest}"
        body = filled(read_template(self._release.job), name, step_id, epoch, self._owner())
        place = _place(body, self._release.namespace)
        attempts = self._attempts(place)
        if name in attempts:
            return self._end(name, attempts[name])
        for other, job in attempts.items():
            if end_of(job) is not None:
                self._delete(place, other)
        # A coordinator that was replaced in this moment may have made it: the name stands for the attempt.
        with _translate_errors(f"create {_kind(body)} {name}", allowed=EXISTS):
            # Not the client's own type for Jobs: it refuses numbers as quantities, which Kubernetes takes.
            self._objects.create_namespaced_custom_object(*place, body, _request_timeout=SECONDS)
        return None

    def close(self) -> None:
        self._api.close()

    def _owner(self) -> dict[str, str]:
        """Reference to the release's ConfigMap with the template."""
        name = f"{self._release.prefix}-trainer-job"
        with _translate_errors(f"read ConfigMap {name}"):
            found = self._core.read_namespaced_config_map(name, self._release.namespace, _request_timeout=SECONDS)
        return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": found.metadata.uid}

    def _attempts(self, place: _Place) -> dict[str, dict[str, Any]]:
        """Name → object of every training that this release has had and that is still known."""
        with _translate_errors(f"list {place[3]}.{place[0]}", crd=f"{place[3]}.{place[0]} ({place[0]}/{place[1]})"):
            listed = self._objects.list_namespaced_custom_object(
                *place,
                label_selector=f"{self._labels()},app.kubernetes.io/component={COMPONENTS[Queue.TRAIN]}",
                _request_timeout=SECONDS,
            )
        return {one["metadata"]["name"]: one for one in listed["items"]}

    def _end(self, name: str, job: dict[str, Any]) -> str | None:
        end = end_of(job)
        if end is None:
            return None
        words = last_words(pod for pod in self._pods() if pod.metadata.name.startswith(f"{name}-"))
        return f"{job.get('kind', 'Job')} {name} ended before it took the step ({end}){'; ' if words else ''}{words}"

    def _delete(self, place: _Place, name: str) -> None:
        with _translate_errors(f"delete {place[3]}.{place[0]} {name}", allowed=GONE):
            # Else the pods of a Job would stay: an API server keeps them unless it is told.
            self._objects.delete_namespaced_custom_object(
                *place, name, propagation_policy="Background", _request_timeout=SECONDS
            )

    def _replicas(self, queue: Queue) -> int:
        with _translate_errors(f"read the scale of deployment {self._deployment(queue)}"):
            scale = self._apps.read_namespaced_deployment_scale(
                self._deployment(queue), self._release.namespace, _request_timeout=SECONDS
            )
        return int(scale.spec.replicas or 0)

    def _pods(self) -> list[Any]:
        """Pods of this release, also those that have ended."""
        with _translate_errors("list pods"):
            listed = self._core.list_namespaced_pod(
                self._release.namespace, label_selector=self._labels(), _request_timeout=SECONDS
            )
        return list(listed.items)

    def _labels(self) -> str:
        return f"app.kubernetes.io/name=mstar,app.kubernetes.io/instance={self._release.instance}"

    def _deployment(self, queue: Queue) -> str:
        return f"{self._release.prefix}-{COMPONENTS[queue]}"


def _in_cluster() -> client.ApiClient:
    try:
        config.load_incluster_config()
    except config.ConfigException as error:
        raise InvalidInput(
            "gpu_sharing needs a Kubernetes service account, which this process does not have: run in the chart's "
            "pod, or set gpu_sharing=dedicated",
            field="gpu_sharing",
        ) from error
    return client.ApiClient()


def _component(pod: Any) -> str:
    return str(pod.metadata.labels.get("app.kubernetes.io/component", ""))


def _place(body: dict[str, Any], namespace: str) -> _Place:
    """Group, version, namespace and plural of an object, as the API's paths have them."""
    group, version = body["apiVersion"].split("/")
    # True of the three kinds that `workloads` knows, so that no API has to be asked for it.
    return group, version, namespace, f"{body['kind'].lower()}s"


@contextmanager
def _translate_errors(wish: str, allowed: int | None = None, crd: str | None = None) -> Iterator[None]:
    """Raise Unavailable for whatever the API server refuses, and when it cannot be reached.

    `wish`: what is asked of it, with the object. `allowed`: a status that is not an error. `crd`: the kind that is
    listed, which a cluster may not know.
    """
    try:
        yield
    except ApiException as error:
        if error.status == GONE and crd is not None:
            raise Unavailable(f"this cluster does not know {crd}: install its operator and CRD") from error
        if error.status != allowed:
            raise Unavailable(f"Kubernetes refuses to {wish}: {error.status} {error.reason}{_said(error)}") from error
    except (HTTPError, OSError) as error:
        raise Unavailable(f"the Kubernetes API can't be reached: {type(error).__name__}") from error


def _said(error: ApiException) -> str:
    """The API server's own words, which name the role or quota that is missing; empty where it sent none."""
    try:
        words = str(json.loads(error.body or "{}")["message"])
    except (ValueError, KeyError, TypeError):
        return ""
    return f" ({words[:SAID]})"


def _kind(body: dict[str, Any]) -> str:
    return f"{body['kind']} ({body['apiVersion']})"
