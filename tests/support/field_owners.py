"""Server-side apply as far as a chart needs it: who owns which field of an object, and when that is a conflict.

What this leaves out: merging of lists by their keys. A list is one field here, which its owner gives as a whole.
"""

from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]
IDENTITY = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
"""Fields that name the object: nobody owns them."""


class Conflict(Exception):
    """Fields that belong to another manager; the message is what Kubernetes would say."""


@dataclass
class Owned:
    """An object and the managers of its fields."""

    content: dict[str, Any] = field(default_factory=dict)
    owners: dict[str, set[Path]] = field(default_factory=dict)

    def apply(self, given: dict[str, Any], manager: str, *, force: bool) -> None:
        """What the manager gives is so from now on; what it gave before and gives no more is gone. Raises Conflict."""
        leaves = {path: value for path, value in _leaves(given).items() if path not in IDENTITY}
        others = {path: name for name, paths in self.owners.items() if name != manager for path in paths}
        taken = {path: others[path] for path in leaves if path in others and _get(self.content, path) != leaves[path]}
        if taken and not force:
            raise Conflict("; ".join(f'conflict with "{name}": .{".".join(path)}' for path, name in taken.items()))
        for paths in self.owners.values():
            paths.difference_update(taken)
        for path in self.owners.get(manager, set()) - leaves.keys() - others.keys():
            _drop(self.content, path)
        _merge(self.content, given)
        self.owners[manager] = set(leaves)

    def update(self, given: dict[str, Any], manager: str) -> None:
        """A plain write takes over the fields that it changes."""
        changed = {path for path, value in _leaves(given).items() if _get(self.content, path) != value}
        for paths in self.owners.values():
            paths.difference_update(changed)
        _merge(self.content, given)
        self.owners.setdefault(manager, set()).update(changed)


def _leaves(tree: dict[str, Any], at: Path = ()) -> dict[Path, Any]:
    found: dict[Path, Any] = {}
    for key, value in tree.items():
        deeper = isinstance(value, dict) and value
        found |= _leaves(value, (*at, key)) if deeper else {(*at, key): value}
    return found


def _get(tree: Any, path: Path) -> Any:
    for key in path:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree


def _drop(tree: dict[str, Any], path: Path) -> None:
    parent = _get(tree, path[:-1])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)


def _merge(tree: dict[str, Any], given: dict[str, Any]) -> None:
    for key, value in given.items():
        if isinstance(value, dict) and isinstance(tree.get(key), dict):
            _merge(tree[key], value)
        else:
            tree[key] = value
