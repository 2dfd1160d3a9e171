"""What a Kubernetes API server adds to an object and what it refuses in one, for the kinds of the chart.

Nobody owns what is added, so it outlives the field that it was derived from: a deprecated twin brings a name back that
its owner has dropped, and the settings of one update strategy stay beside the next one. What this leaves out: admission
plugins, and schemas, which `kubernetes-validate` checks.
"""

from typing import Any

Tree = dict[str, Any]
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
HANDLERS = {"httpGet", "tcpSocket", "exec", "grpc"}


def complete(content: Tree) -> None:
    """Fill in defaults and twins, in place."""
    spec, kind = content.get("spec", {}), content["kind"]
    _ADDED.get(kind, lambda _: None)(spec)
    for template in pod_templates(content):
        _pod(template)


def complaints(content: Tree) -> list[str]:
    """Combinations that validation refuses."""
    found = []
    strategy = content.get("spec", {}).get("strategy", {}) if content["kind"] == "Deployment" else {}
    if strategy.get("type") == "Recreate" and "rollingUpdate" in strategy:
        found.append("spec.strategy.rollingUpdate: may not be specified when strategy `type` is 'Recreate'")
    for pod in pod_templates(content):
        for volume in pod.get("volumes", []):
            if len(volume) != 2:
                found.append(f"volume {volume['name']}: may not specify more than 1 volume type")
        for container in pod["containers"]:
            found += _in_container(container)
    return found


def pod_templates(content: Tree) -> list[Tree]:
    """Pod specifications of an object that makes pods, or is one."""
    if content["kind"] == "Pod":
        return [content["spec"]]
    return [content["spec"]["template"]["spec"]] if content["kind"] in ("Deployment", "StatefulSet", "Job") else []


def _in_container(container: Tree) -> list[str]:
    found = []
    for entry in container.get("env", []):
        if "value" in entry and "valueFrom" in entry:
            found.append(f"env {entry['name']}: valueFrom may not be specified when `value` is not empty")
    for name in PROBES:
        probe = container.get(name)
        if probe is not None and len(HANDLERS & probe.keys()) != 1:
            found.append(f"{name}: must specify one handler type")
        if probe is not None and "port" not in probe.get("httpGet", {"port": 0}):
            found.append(f"{name}.httpGet.port: Required value")
    return found


def _deployment(spec: Tree) -> None:
    _defaults(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        strategy.setdefault("rollingUpdate", {"maxSurge": "25%", "maxUnavailable": "25%"})


def _stateful_set(spec: Tree) -> None:
    _defaults(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    spec.setdefault("updateStrategy", {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})


def _service(spec: Tree) -> None:
    _defaults(spec, type="ClusterIP", sessionAffinity="None", internalTrafficPolicy="Cluster", clusterIP="10.0.0.7")
    _defaults(spec, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack", clusterIPs=[spec["clusterIP"]])
    for port in spec.get("ports", []):
        _defaults(port, protocol="TCP", targetPort=port["port"])


def _claim(spec: Tree) -> None:
    _defaults(spec, volumeMode="Filesystem", storageClassName="standard")


def _network_policy(spec: Tree) -> None:
    for rule in [*spec.get("ingress", []), *spec.get("egress", [])]:
        for port in rule.get("ports", []):
            port.setdefault("protocol", "TCP")


_ADDED = {
    "Deployment": _deployment,
    "StatefulSet": _stateful_set,
    "Service": _service,
    "PersistentVolumeClaim": _claim,
    "NetworkPolicy": _network_policy,
}


def _pod(pod: Tree) -> None:
    # The twin of old clients: read where the name is missing, then written to match it.
    account = pod.get("serviceAccountName") or pod.get("serviceAccount")
    if account:
        pod["serviceAccountName"] = pod["serviceAccount"] = account
    _defaults(pod, restartPolicy="Always", dnsPolicy="ClusterFirst", schedulerName="default-scheduler")
    _defaults(pod, terminationGracePeriodSeconds=30, securityContext={})
    for volume in pod.get("volumes", []):
        for source in ("configMap", "secret", "projected"):
            if source in volume:
                volume[source].setdefault("defaultMode", 420)
    for container in pod["containers"]:
        _container(container)


def _container(container: Tree) -> None:
    _defaults(container, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File", resources={})
    container.setdefault("imagePullPolicy", "IfNotPresent")
    for port in container.get("ports", []):
        port.setdefault("protocol", "TCP")
    for name in PROBES:
        if name in container:
            _defaults(container[name], timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3)
            if "httpGet" in container[name]:
                container[name]["httpGet"].setdefault("scheme", "HTTP")


def _defaults(tree: Tree, **values: Any) -> None:
    for key, value in values.items():
        tree.setdefault(key, value)
