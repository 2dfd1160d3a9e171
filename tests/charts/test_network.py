"""Who reaches whom under the chart's NetworkPolicies, as Kubernetes reads them: every pair of pods, every port."""

from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import kubernetes_validate
import pytest

from chart_bench import OPENING, named, render

PORTS = (6379, 8400, 8401, 8402, 29500)
WORKERS = ("worker-rollout", "worker-score")
Edges = dict[str, set[tuple[str, int]]]
"""Source → targets with ports."""
FROM_WORKERS = {("redis", 6379), ("coordinator", 8400), ("policy", 8401), ("prm", 8402)}
IN_TURNS: Edges = {
    "worker-rollout": FROM_WORKERS,
    "worker-score": FROM_WORKERS,
    "coordinator": {("redis", 6379), ("prm", 8402)},
    "trainer": {("coordinator", 8400)},
    "policy": {("coordinator", 8400)},
    "prm": {("coordinator", 8400)},
    "test": {("redis", 6379), ("coordinator", 8400)},
}
DEDICATED: Edges = IN_TURNS | {
    "coordinator": {("redis", 6379)},
    "trainer": {("coordinator", 8400), ("redis", 6379)},
    "test": {("redis", 6379), ("coordinator", 8400), ("prm", 8402)},
}
TABLE: dict[str, Edges] = {
    "default": IN_TURNS,
    "dedicated": DEDICATED,
    "CPU": DEDICATED,
    "object store": IN_TURNS,
    "nodes": IN_TURNS
    | {
        "coordinator": {("redis", 6379)},
        "trainer": {("coordinator", 8400), *(("trainer", port) for port in PORTS)},
        "test": {("redis", 6379), ("coordinator", 8400), ("scoring", 8402)},
        "scoring": {("coordinator", 8400)},
    },
    "colocated": {
        **{key: {("redis", 6379), ("coordinator", 8400), ("gpus", 8401), ("gpus", 8402)} for key in WORKERS},
        "coordinator": {("redis", 6379), ("gpus", 8401), ("gpus", 8402)},
        "gpus": {("coordinator", 8400), ("redis", 6379)},
        "test": {("redis", 6379), ("coordinator", 8400)},
    },
    "everything elsewhere": {
        **dict.fromkeys(WORKERS, FROM_WORKERS - {("redis", 6379)}),
        "coordinator": {("prm", 8402)},
        "trainer": {("coordinator", 8400)},
        "policy": {("coordinator", 8400)},
        "prm": {("coordinator", 8400)},
        "test": {("coordinator", 8400)},
    },
}
"""Opening → all edges between pods of a release."""
COMPONENTS = ("redis", "coordinator", *WORKERS, "policy", "prm", "scoring", "trainer", "gpus", "test")
METADATA = ("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fe80::a9fe:a9fe")
WORLD = ("10.96.0.1", "203.0.113.9", "2001:db8::1", "fd00:10:96::1")


def labels(component: str, release: str = "demo") -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "mstar",
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/component": component,
    }


class Network:
    """The policies of a release, in its namespace."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._policies = [one["spec"] for one in named(render(values), "NetworkPolicy").values()]

    def reaches(self, source: dict[str, str], target: dict[str, str], port: int, space: str = "") -> bool:
        """From a pod, in another namespace with the label team=`space` where one is named, to a pod of this one."""
        leaves = bool(space) or self._passes("Egress", source, target, port, "")
        return leaves and self._passes("Ingress", target, source, port, space)

    def leaves(self, source: dict[str, str], address: str, port: int = 443) -> bool:
        """From a pod to an address outside."""
        rules = self._rules("Egress", source)
        return rules is None or any(_port(rule, port) and _outside(rule, address) for rule in rules)

    def _passes(self, way: str, own: dict[str, str], other: dict[str, str], port: int, space: str) -> bool:
        rules = self._rules(way, own)
        peers = "to" if way == "Egress" else "from"
        return rules is None or any(
            _port(rule, port) and (peers not in rule or any(_is(peer, other, space) for peer in rule[peers]))
            for rule in rules
        )

    def _rules(self, way: str, own: dict[str, str]) -> list[dict[str, Any]] | None:
        """None where no policy chooses the pod: everything passes."""
        choosing = [one for one in self._policies if way in one["policyTypes"] and _chosen(one["podSelector"], own)]
        return [rule for one in choosing for rule in one.get(way.lower(), [])] if choosing else None


def _chosen(selector: dict[str, Any], own: dict[str, str]) -> bool:
    return bool(selector.get("matchLabels", {}).items() <= own.items())


def _is(peer: dict[str, Any], other: dict[str, str], space: str) -> bool:
    if "ipBlock" in peer:
        return False
    here = _chosen(peer["namespaceSelector"], {"team": space}) if "namespaceSelector" in peer else not space
    return here and _chosen(peer.get("podSelector", {}), other)


def _port(rule: dict[str, Any], port: int) -> bool:
    return "ports" not in rule or any(one["port"] == port and one["protocol"] == "TCP" for one in rule["ports"])


def _outside(rule: dict[str, Any], address: str) -> bool:
    asked = ip_address(address)
    blocks = [peer["ipBlock"] for peer in rule.get("to", []) if "ipBlock" in peer]
    inside = [one for one in blocks if asked in ip_network(one["cidr"])]
    return "to" not in rule or any(all(asked not in ip_network(no) for no in one["except"]) for one in inside)


def people(opening: str) -> set[tuple[str, int]]:
    """What everyone in the namespace may reach."""
    who = {"dedicated": {("prm", 8402)}, "CPU": {("prm", 8402)}, "nodes": {("scoring", 8402)}}
    return {("coordinator", 8400)} | who.get(opening, set())


@pytest.mark.parametrize("opening", TABLE)
def test_every_pod_reaches_what_the_table_says_and_nothing_else(opening: str) -> None:
    network = Network(OPENING[opening])
    there = {one for pair in TABLE[opening].items() for one in (pair[0], *(target for target, _ in pair[1]))}
    found: Edges = {source: set() for source in TABLE[opening]}
    for source, target, port in product(COMPONENTS, COMPONENTS, PORTS):
        if {source, target} <= there and network.reaches(labels(source), labels(target), port):
            found.setdefault(source, set()).add((target, port))
    assert found == TABLE[opening]


@pytest.mark.parametrize("opening", TABLE)
def test_another_pod_of_the_namespace_reaches_what_is_for_people(opening: str) -> None:
    network = Network(OPENING[opening])
    for stranger in ({"app": "notebook"}, labels("coordinator", "other")):
        found = {
            (target, port)
            for target, port in product(COMPONENTS, PORTS)
            if network.reaches(stranger, labels(target), port)
        }
        assert found == people(opening)


def test_people_of_other_namespaces_are_let_in_by_label() -> None:
    values = {"networkPolicy": {"fromNamespaces": {"team": "data"}}, "gpuSharing": {"mode": "dedicated"}}
    network, other = Network(values), {"app": "notebook"}
    for space, passes in (("data", True), ("sales", False), ("", False)):
        assert network.reaches(other, labels("prm"), 8402, space) is passes
        assert network.reaches(other, labels("coordinator"), 8400, space) is passes
        assert not network.reaches(other, labels("policy"), 8401, space)


@pytest.mark.parametrize(
    ("values", "outside"),
    [
        ({}, {"coordinator"}),
        ({"gpuSharing": {"mode": "dedicated"}}, set()),
        ({"gpuSharing": {"mode": "dedicated"}, "database": {"existingSecret": "d"}}, {"coordinator"}),
        ({"redis": {"enabled": False, "externalSecret": "r"}}, {"coordinator", *WORKERS, "test"}),
        (
            {"redis": {"enabled": False, "externalSecret": "r"}, "gpuSharing": {"mode": "dedicated"}},
            {"coordinator", *WORKERS, "test", "trainer"},
        ),
        ({"gpuSharing": {"mode": "colocated"}}, set()),
        (OPENING["object store"], {"coordinator", *WORKERS, "policy", "prm", "trainer", "test"}),
        (
            OPENING["object store"] | {"gpuSharing": {"mode": "colocated", "gpus": 0}},
            {"coordinator", *WORKERS, "gpus", "test"},
        ),
    ],
)
def test_who_has_business_outside_reaches_everything_but_metadata(values: dict[str, Any], outside: set[str]) -> None:
    network = Network(values)
    for component, address in product(COMPONENTS, WORLD):
        assert network.leaves(labels(component), address) is (component in outside), (component, address)
    for component, address, port in product(COMPONENTS, METADATA, (80, 443)):
        assert not network.leaves(labels(component), address, port), (component, address)


def test_names_are_asked_for_everywhere() -> None:
    network = Network({})
    # A cache of names on each node has a link-local address.
    for component, address in product(COMPONENTS, ("10.96.0.10", "169.254.20.10", "fd00:10:96::a")):
        assert network.leaves(labels(component), address, 53)


def test_more_may_be_allowed_to_those_who_work() -> None:
    store = {
        "to": [{"ipBlock": {"cidr": "198.51.100.0/24", "except": []}}],
        "ports": [{"port": 443, "protocol": "TCP"}],
    }
    values = {"gpuSharing": {"mode": "dedicated"}, "networkPolicy": {"extraEgress": [store]}}
    network = Network(values)
    leaving = {one for one in COMPONENTS if network.leaves(labels(one), "198.51.100.7")}
    assert leaving == {"coordinator", *WORKERS, "policy", "prm", "trainer"}
    assert not network.leaves(labels("coordinator"), "198.51.100.7", 80)
    for policy in named(render(values), "NetworkPolicy").values():
        kubernetes_validate.validate(policy, "1.37", strict=True)


def test_where_people_sign_in_the_coordinator_alone_reaches_that_port() -> None:
    provider = {"issuer": "https://login.example.org:8443/realms/lab", "publicUrl": "https://mstar.example.org"}
    provider |= {"clientId": "mstar", "existingSecret": "login", "roles": "staff=read"}
    network = Network({"gpuSharing": {"mode": "dedicated"}, "signIn": provider})
    assert {one for one in COMPONENTS if network.leaves(labels(one), "203.0.113.9", 8443)} == {"coordinator"}
    assert not network.leaves(labels("coordinator"), "203.0.113.9", 443)
    assert not network.leaves(labels("coordinator"), METADATA[0], 8443)


@pytest.mark.parametrize(
    ("endpoint", "port"),
    [("http://collector:4318", 4318), ("https://otlp.example.org/x", 443), ("http://[fd00::7]:4319", 4319)],
)
def test_where_traces_are_sent_every_service_reaches_that_port(endpoint: str, port: int) -> None:
    values = {"gpuSharing": {"mode": "dedicated"}, "traces": {"endpoint": endpoint}}
    network = Network(values)
    for address in WORLD:
        leaving = {one for one in COMPONENTS if network.leaves(labels(one), address, port)}
        assert leaving == {"coordinator", *WORKERS, "policy", "prm", "trainer"}
    assert not network.leaves(labels("policy"), "203.0.113.9", 8443)
    assert not network.leaves(labels("policy"), METADATA[0], port)
    for policy in named(render(values), "NetworkPolicy").values():
        kubernetes_validate.validate(policy, "1.37", strict=True)


def test_without_a_queue_of_its_own_no_policy_speaks_of_one() -> None:
    assert "redis" not in str(named(render(OPENING["everything elsewhere"]), "NetworkPolicy"))


def test_no_policies_where_they_are_not_wanted() -> None:
    assert named(render({"networkPolicy": {"enabled": False}}), "NetworkPolicy") == {}
