"""Server-side apply: who owns which field of an object, when that is a conflict, and what goes with its last owner.

Lists that Kubernetes merges by a key are merged by it; every other list is one field, which its owner gives as a whole.
A struct or list item goes as a whole, with what the server has added to it, when no manager has a field in it any more;
a field that the server has added beside owned ones stays.
"""

from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
"""Fields that name the object: nobody owns them."""
KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "ports": ("containerPort", "port", "protocol"),
    "resourceClaims": ("name",),
    "claims": ("name",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Field → keys of its items. Ports have the default protocol where they name none."""


class Conflict(Exception):
    """Fields that belong to another manager; the message is what Kubernetes would say."""


class Items(dict[str, Any]):
    """A list by the keys of its items, in order."""


@dataclass
class Owned:
    """An object and the managers of its fields."""

    content: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, set[Path]] = field(default_factory=dict)

    def apply(self, given: dict[str, Any], manager: str, *, force: bool) -> None:
        """Set what the manager gives and remove what it gave before and nobody gives now. Raises Conflict."""
        keyed, content = _keyed(given), _keyed(self.content)
        leaves = {path: value for path, value in _leaves(keyed).items() if path not in IDENTITY}
        others = {path: name for name, paths in self.owners.items() if name != manager for path in paths}
        taken = {path: others[path] for path in leaves if path in others and _get(content, path) != leaves[path]}
        if taken and not force:
            raise Conflict("; ".join(f'conflict with "{name}": .{".".join(path)}' for path, name in taken.items()))
        for paths in self.owners.values():
            paths.difference_update(taken)
        owned = leaves.keys() | others.keys()
        for path in self.owners.get(manager, set()) - owned:
            _drop(content, _unowned(path, owned))
        self.content = _plain(_merged(content, keyed))
        self.owners[manager] = set(leaves)

    def update(self, given: dict[str, Any], manager: str) -> None:
        """A plain write takes over the fields that it changes."""
        keyed, content = _keyed(given), _keyed(self.content)
        changed = {path for path, value in _leaves(keyed).items() if _get(content, path) != value}
        for paths in self.owners.values():
            paths.difference_update(changed)
        self.content = _plain(_merged(content, keyed))
        self.owners.setdefault(manager, set()).update(changed)


def _keyed(tree: Any, name: str = "") -> Any:
    if isinstance(tree, dict):
        return {key: _keyed(value, key) for key, value in tree.items()}
    if isinstance(tree, list) and name in KEYS and all(isinstance(one, dict) for one in tree):
        return Items({_key(one, KEYS[name]): _keyed(one) for one in tree})
    return tree


def _key(item: dict[str, Any], keys: tuple[str, ...]) -> str:
    given = {"protocol": "TCP"} | item
    return ",".join(f"{key}={given[key]}" for key in keys if key in given)


def _plain(tree: Any) -> Any:
    if isinstance(tree, Items):
        return [_plain(one) for one in tree.values()]
    return {key: _plain(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


def _leaves(tree: dict[str, Any], at: Path = ()) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    for key, value in tree.items():
        deeper = isinstance(value, dict) and value
        found |= _leaves(value, (*at, key)) if deeper else {(*at, key): value}
    return found


def _unowned(path: Path, owned: set[Path]) -> Path:
    """The longest stretch above the path that no owned field is in."""
    above = {field[:length] for field in owned for length in range(1, len(field) + 1)}
    return next(path[:length] for length in range(1, len(path) + 1) if path[:length] not in above)


def _get(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _drop(tree: dict[str, Any], path: Path) -> None:
    parent = _get(tree, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def _merged(tree: Any, given: Any) -> Any:
    """What is given first, in its order, then what else is there."""
    if not isinstance(given, dict) or not isinstance(tree, dict):
        return given
    merged = {key: _merged(tree[key], value) if key in tree else value for key, value in given.items()}
    return type(given)(merged | {key: value for key, value in tree.items() if key not in given})
