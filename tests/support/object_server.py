"""A Kubernetes API server that keeps objects, on a real socket, for Helm's own install, upgrade and uninstall.

It does what those meet: discovery, server-side apply with field managers, defaults and twins, fields that cannot
change, plain text of Secrets, and the claims that a StatefulSet makes. What this leaves out: pods, garbage collection,
admission, and schemas, which `kubernetes-validate` checks.
"""

import base64
import copy
import json
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

from api_defaults import complaints, complete
from field_owners import Conflict, Owned
from handler_server import HandlerServer, QuietHandler

KINDS = {
    "v1": ["ConfigMap", "PersistentVolumeClaim", "Pod", "Secret", "Service", "ServiceAccount"],
    "batch/v1": ["Job"],
    "apps/v1": ["Deployment", "StatefulSet"],
    "monitoring.coreos.com/v1": ["PrometheusRule", "ServiceMonitor"],
    "networking.k8s.io/v1": ["NetworkPolicy"],
    "policy/v1": ["PodDisruptionBudget"],
    "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
    "resource.k8s.io/v1": ["ResourceClaimTemplate"],
    "trainer.kubeflow.org/v1alpha1": ["TrainingRuntime"],
}
"""API version → kinds, all of them in a namespace."""
FIXED = {
    "Deployment": [("spec", "selector")],
    "StatefulSet": [("spec", "selector"), ("spec", "serviceName"), ("spec", "volumeClaimTemplates")],
    "PersistentVolumeClaim": [("spec", "accessModes"), ("spec", "storageClassName")],
    "ResourceClaimTemplate": [("spec",)],
    "RoleBinding": [("roleRef",)],
    "Service": [("spec", "clusterIP")],
}
"""Kind → fields that no update may change."""
Key = tuple[str, str, str]
"""(namespace, kind, name)"""


def fixed(content: dict[str, Any]) -> dict[str, Any]:
    """Path → value of the fields of an object that no update may change."""
    found: dict[str, Any] = {}
    for path in FIXED.get(content["kind"], []):
        value: Any = content
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        if value is not None:
            found[".".join(path)] = value
    return found


class Refusal(Exception):
    """An answer that is an error: status, reason, message."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


class ObjectServer(HandlerServer):
    """Objects by key, as they would lie in a cluster."""

    def __init__(self, version: str = "v1.34.0") -> None:
        self.objects: dict[Key, Owned] = {}
        self._version = version
        self._lock = threading.Lock()
        super().__init__(self._handler())

    def hold(self, content: dict[str, Any]) -> None:
        """Put an object in as if it had been there."""
        self.apply(content, "before")

    def apply(self, content: dict[str, Any], manager: str) -> None:
        """Apply an object without a request, taking fields from whoever has them. Raises Refusal."""
        self._apply(_key(content), content, manager, force=True)

    def delete(self, content: dict[str, Any]) -> None:
        """Delete the object of this kind and name without a request."""
        self._delete(_key(content))

    def there(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(kind, name) → object."""
        return {(kind, name): copy.deepcopy(one.content) for (_, kind, name), one in self.objects.items()}

    def answer(self, method: str, address: str, media: str, agent: str, body: bytes) -> dict[str, Any]:
        """Answer of one request. Raises Refusal."""
        split = urlsplit(address)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        found = {"gitVersion": self._version} if split.path == "/version" else _discovery(split.path)
        if found is not None:
            return found
        version, namespace, kind, name, part = _place(split.path)
        key = (namespace, kind, name)
        given = yaml.safe_load(body) if body else {}
        manager = query.get("fieldManager") or agent.split("/")[0]
        with self._lock:
            if not name and method == "GET":
                items = [one.content for (space, other, _), one in self.objects.items() if (space, other) == key[:2]]
                return {"kind": f"{kind}List", "apiVersion": version, "metadata": {}, "items": items}
            if part == "scale":
                return self._scale(method, key, given, manager)
            if media.startswith("application/apply-patch"):
                return self._apply(key, given, manager, force=query.get("force") == "true")
            if method == "POST":
                return self._create((namespace, kind, given["metadata"]["name"]), given, manager)
            if method == "PATCH":
                self._held(key).update(_stored(given | {"kind": kind}), manager)
                return self._held(key).content
            if method == "DELETE":
                return self._delete(key)
            if method == "GET":
                return self._held(key).content
        raise Refusal(405, "MethodNotAllowed", f"{method} {address} ({media})")

    def _held(self, key: Key) -> Owned:
        if key not in self.objects:
            raise Refusal(404, "NotFound", f"{key[1]} {key[2]} not found")
        return self.objects[key]

    def _apply(self, key: Key, given: dict[str, Any], manager: str, *, force: bool) -> dict[str, Any]:
        before = self.objects.get(key, Owned())
        after = copy.deepcopy(before)
        try:
            after.apply(_stored(given), manager, force=force)
        except Conflict as conflict:
            raise Refusal(409, "Conflict", f"Apply failed with 1 conflict: {conflict}") from conflict
        after.content["metadata"] |= {"namespace": key[0], "uid": "-".join(key), "resourceVersion": "1"}
        complete(after.content)
        if said := complaints(after.content):
            raise Refusal(422, "Invalid", f"{key[1]} {key[2]} is invalid: {'; '.join(said)}")
        if before.content and fixed(before.content) != fixed(after.content):
            raise Refusal(422, "Invalid", f"{key[1]} {key[2]} is invalid: field is immutable: {fixed(before.content)}")
        self.objects[key] = after
        if key[1] == "StatefulSet":
            self._claims_of(after.content)
        return after.content

    def _create(self, key: Key, given: dict[str, Any], manager: str) -> dict[str, Any]:
        if key in self.objects:
            raise Refusal(409, "AlreadyExists", f"{key[1]} {key[2]} already exists")
        return self._apply(key, given, manager, force=True)

    def _claims_of(self, content: dict[str, Any]) -> None:
        """What the controller of StatefulSets makes, under its own name and not Helm's."""
        namespace, name = content["metadata"]["namespace"], content["metadata"]["name"]
        for template in content["spec"].get("volumeClaimTemplates", []):
            claim = f"{template['metadata']['name']}-{name}-0"
            key = (namespace, "PersistentVolumeClaim", claim)
            if key not in self.objects:
                made = {"apiVersion": "v1", "kind": key[1], "spec": template["spec"]}
                made["metadata"] = template["metadata"] | {"name": claim, "namespace": namespace}
                self.objects[key] = Owned(made, {"kube-controller-manager": set()})

    def _delete(self, key: Key) -> dict[str, Any]:
        content = self._held(key).content
        del self.objects[key]
        if key[1] == "StatefulSet":
            policy = content["spec"].get("persistentVolumeClaimRetentionPolicy", {})
            if policy.get("whenDeleted") == "Delete":
                for template in content["spec"]["volumeClaimTemplates"]:
                    claim = f"{template['metadata']['name']}-{key[2]}-0"
                    self.objects.pop((key[0], "PersistentVolumeClaim", claim), None)
        return {"kind": "Status", "apiVersion": "v1", "status": "Success"}

    def _scale(self, method: str, key: Key, given: dict[str, Any], manager: str) -> dict[str, Any]:
        held = self._held(key)
        if method == "PATCH":
            held.update({"spec": {"replicas": given["spec"]["replicas"]}}, manager)
        return {"kind": "Scale", "apiVersion": "autoscaling/v1", "spec": {"replicas": held.content["spec"]["replicas"]}}

    def _handler(self) -> type[QuietHandler]:
        server = self

        class Handler(QuietHandler):
            def do_GET(self) -> None:
                body = self.body()
                media, agent = self.headers.get("Content-Type", ""), self.headers.get("User-Agent", "")
                try:
                    status, said = 200, server.answer(self.command, self.path, media, agent, body)
                except Refusal as refusal:
                    status, said = refusal.status, _status(refusal)
                self.reply(status, json.dumps(said).encode())

            do_DELETE = do_PATCH = do_POST = do_PUT = do_GET

        return Handler


def _key(content: dict[str, Any], namespace: str = "ns") -> Key:
    return namespace, content["kind"], content["metadata"]["name"]


def _stored(given: dict[str, Any]) -> dict[str, Any]:
    """Plain text of a Secret is kept encoded."""
    kept = copy.deepcopy(given)
    if kept["kind"] == "Secret":
        plain = kept.pop("stringData", {})
        kept["data"] = kept.get("data", {}) | {
            name: base64.b64encode(str(text).encode()).decode() for name, text in plain.items()
        }
    return kept


def _status(refusal: Refusal) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": str(refusal),
        "reason": refusal.reason,
        "code": refusal.status,
    }


def _plural(kind: str) -> str:
    return f"{kind.lower()[:-1]}ies" if kind.endswith("y") else f"{kind.lower()}s"


def _discovery(path: str) -> dict[str, Any] | None:
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": list(_groups())}
    if path == "/openapi/v3":
        addresses = {where: f"/openapi/v3/{where}" for where in map(_where, KINDS)}
        return {"paths": {where: {"serverRelativeURL": address} for where, address in addresses.items()}}
    version = path.removeprefix("/openapi/v3").removeprefix("/apis/").removeprefix("/api/")
    if version not in KINDS:
        return None
    if path.startswith("/openapi/"):
        return _openapi(version)
    resources = [
        {"name": _plural(kind), "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get", "patch"]}
        for kind in KINDS[version]
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}


def _where(version: str) -> str:
    return f"apis/{version}" if "/" in version else f"api/{version}"


def _openapi(version: str) -> dict[str, Any]:
    """Only that the server checks fields itself, so that Helm need not."""
    group, _, number = version.rpartition("/")
    checked = [{"name": "fieldValidation", "in": "query"}]
    paths = {
        f"/{_where(version)}/{_plural(kind)}": {
            "patch": {
                "parameters": checked,
                "responses": {},
                "x-kubernetes-group-version-kind": {"group": group, "version": number, "kind": kind},
            }
        }
        for kind in KINDS[version]
    }
    return {"openapi": "3.0.0", "info": {"title": "stub", "version": "1"}, "paths": paths}


def _groups() -> Iterator[dict[str, Any]]:
    for one in KINDS:
        if "/" in one:
            group, version = one.split("/")
            named = {"groupVersion": one, "version": version}
            yield {"name": group, "versions": [named], "preferredVersion": named}


def _place(path: str) -> tuple[str, str, str, str, str]:
    """(API version, namespace, kind, name, sub-resource) of an address. Raises Refusal."""
    head, _, tail = path.partition("/namespaces/")
    version = head.removeprefix("/apis/").removeprefix("/api/")
    namespace, plural, *rest = [*tail.split("/"), "", ""]
    for kind in KINDS.get(version, []):
        if _plural(kind) == plural:
            name, part = [*rest, ""][:2]
            return version, namespace, kind, name, part
    raise Refusal(404, "NotFound", f"the server could not find the requested resource {path}")
