"""What trains one step on a cluster: the chart's template for a Job, a JobSet or a Kubeflow TrainJob, filled in.

Each kind keeps its environment, its number of nodes and the first node's host name elsewhere; that is all that is known
of them here. What this leaves out: creating them (`kubernetes`), and everything that the chart decides.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mstar.errors import InvalidInput
from mstar_coordinator.config import CoordinatorSettings, GpuSharing

Body = dict[str, Any]


@dataclass(frozen=True)
class Nodes:
    """The pods that share one training."""

    count: int
    first: str
    """Host name of the first one."""
    environment: list[dict[str, str]]
    """Of every one's container, as a list to add to."""


def read_template(path: Path) -> Body:
    """The object that the chart rendered. Raises InvalidInput when it is not there."""
    try:
        found: Body = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(
            f"the Job template {path.name} cannot be read: {error.strerror}", field="job_template"
        ) from error
    return found


def training_nodes(settings: CoordinatorSettings) -> int:
    """Pods that share one training, as the template has them. Raises InvalidInput where that cannot be used."""
    if settings.gpu_sharing is not GpuSharing.SCALE_TO_ZERO:
        return 1
    template = read_template(settings.job_template)
    return _reader(template)(template, "").count


def filled(template: Mapping[str, Any], name: str, step_id: str, epoch: int, owner: Body | None = None) -> Body:
    """The object for one attempt at a step, under a name of its own. Raises InvalidInput for an unknown kind.

    `epoch`: that of the last attempt; the first node's claim raises it by one, which the other nodes wait for.
    `owner`: owner reference to the object whose deletion deletes this one too.
    """
    # `environment` is a list within it, which is added to.
    body = copy.deepcopy(dict(template))
    body["metadata"]["name"] = name
    if owner is not None:
        body["metadata"]["ownerReferences"] = [owner]
    nodes = _reader(body)(body, name)
    given = {"MSTAR_TRAINER_STEP": step_id}
    if nodes.count > 1:
        given["MSTAR_TRAINER_NODES"] = str(nodes.count)
        # So that nodes of an earlier attempt, which Kubernetes may still be ending, help nobody else.
        given["MSTAR_TRAINER_EPOCH"] = str(epoch + 1)
        given["MSTAR_TRAINER_FIRST_NODE"] = nodes.first
    nodes.environment.extend({"name": key, "value": value} for key, value in given.items())
    return body


def _reader(body: Body) -> Callable[[Body, str], Nodes]:
    readers = {"Job": _job, "JobSet": _job_set, "TrainJob": _train_job}
    if body["kind"] not in readers:
        known = ", ".join(readers)
        raise InvalidInput(f"the Job template's kind is {body['kind']}: use one of {known}", field="job_template")
    return readers[body["kind"]]


def _job(body: Body, name: str) -> Nodes:
    pod = body["spec"]["template"]["spec"]
    # Pods of an indexed Job are named so where a headless Service has the name `subdomain`.
    first = f"{name}-0.{pod.get('subdomain', name)}"
    return Nodes(body["spec"].get("completions", 1), first, pod["containers"][0]["env"])


def _job_set(body: Body, name: str) -> Nodes:
    (replicated,) = body["spec"]["replicatedJobs"]
    job = replicated["template"]["spec"]
    # A JobSet makes its own headless Service, named as it is.
    first = f"{name}-{replicated['name']}-0-0.{name}"
    return Nodes(job.get("completions", 1), first, job["template"]["spec"]["containers"][0]["env"])


def _train_job(body: Body, name: str) -> Nodes:
    trainer = body["spec"]["trainer"]
    # Kubeflow makes a JobSet of this name, whose replicated job `node` has the runtime's pods.
    return Nodes(trainer["numNodes"], f"{name}-node-0-0.{name}", trainer["env"])
