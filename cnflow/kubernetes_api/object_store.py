"""Objects of one list, kept up to date by the events of a watch. Decisions only, no I/O.

::

    list ──on_listed──> objects, version ──watch from version──> on_event
                            ▲                                     ├── ADDED, MODIFIED, DELETED: objects change
                            │                                     ├── BOOKMARK: the version alone
                            └─────────── must_list ───────────────┴── ERROR 410: the version is too old
                                                                      any other ERROR: watched again from the version

See https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.kubernetes_api.errors import GONE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


_DELETED = 1000


class ObjectStore:
    """Objects by name. Not for several threads: the caller has a lock."""

    def __init__(self) -> None:
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._deleted: dict[str, Mapping[str, Any]] = {}
        self.version = ""
        """Resource version up to which all changes are known; empty before the first list, and when it is too old."""

    @property
    def must_list(self) -> bool:
        """True if the list must be read before a watch can go on."""
        return not self.version

    def deleted(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the last states of objects that were deleted lately, by name: they tell why."""
        return dict(self._deleted)

    def objects(self) -> Mapping[str, Mapping[str, Any]]:
        """Return a copy of all objects, by name."""
        return dict(self._objects)

    def on_listed(self, items: Iterable[Mapping[str, Any]], version: str) -> bool:
        """Replace all objects by those of a list; return True if anything is different."""
        before, self._objects = self._objects, {str(one["metadata"]["name"]): one for one in items}
        self.version = version
        return {name: _version(one) for name, one in before.items()} != {
            name: _version(one) for name, one in self._objects.items()
        }

    def on_event(self, event: Mapping[str, Any]) -> bool:
        """Apply one event of a watch; return True if an object is different."""
        kind, changed = event.get("type"), event.get("object") or {}
        if kind == "ERROR":
            if changed.get("code") == GONE:
                self.version = ""
            return False
        self.version = _version(changed) or self.version
        if kind == "BOOKMARK":
            return False
        name = str(changed["metadata"]["name"])
        if kind == "DELETED":
            self._deleted[name] = changed
            if len(self._deleted) > _DELETED:
                del self._deleted[next(iter(self._deleted))]
            return self._objects.pop(name, None) is not None
        known = self._objects.get(name)
        self._objects[name] = changed
        return known is None or _version(known) != _version(changed)

    def on_too_old(self) -> None:
        """Note that a watch from `version` was refused with 410: the list must be read again."""
        self.version = ""

    def forget(self, name: str) -> None:
        """Remove an object of which the caller knows that it is gone, before the event comes."""
        self._objects.pop(name, None)
        self._deleted.pop(name, None)


def _version(one: Mapping[str, Any]) -> str:
    return str((one.get("metadata") or {}).get("resourceVersion", ""))
