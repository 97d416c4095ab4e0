"""Strategic merge: lays a user's changes over an object that cnflow sends, as ``kubectl patch --type=strategic`` does.

::

    {"containers": [{"name": "cnflow", "tty": True}]}        laid over the container of that name, not over the list
    {"dnsPolicy": None}                                      deleted
    {"tolerations": [...]}                                   replaced: a list whose elements have no name
    {"env": [{"name": "A", "$patch": "delete"}]}             without that element

Pure. Lists that are merged, with the field that names their elements, are those of the API's own types:
https://kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch/
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_MERGE_KEYS = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "resourceClaims": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Field -> field that names an element of its list (``patchMergeKey`` in k8s.io/api)."""

_MERGED_WORDS = frozenset({"finalizers"})
"""Lists of texts that are joined; all others are replaced."""

_DIRECTIVE, _RETAIN, _DELETE_WORDS = "$patch", "$retainKeys", "$deleteFromPrimitiveList/"
_ORDERS = ("merge", "replace", "delete")


def merge(original: Mapping[str, Any], patch: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Return *original* with *patch* laid over it; neither is changed.

    Args:
        original: an object, or a part of one.
        patch: the changes.
        path: of the part within the object, for messages.

    Raises:
        ConfigurationError: the patch does not fit the object; names the field.
    """
    order = patch.get(_DIRECTIVE, "merge")
    if order not in _ORDERS:
        raise _wrong(path, f"$patch is one of {', '.join(_ORDERS)}, not {order!r}")
    if order == "delete":
        return {}
    if order == "replace":
        return merge({}, {name: value for name, value in patch.items() if name != _DIRECTIVE}, path)
    merged = dict(original)
    for name, value in patch.items():
        if not isinstance(name, str):
            raise _wrong(path, f"names of fields are texts, not {name!r}")
        if name.startswith("$"):
            _follow(name, value, merged, path)
        elif value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged_value(name, merged.get(name), value, f"{path}.{name}".lstrip("."))
    kept = patch.get(_RETAIN)
    return merged if kept is None else {name: value for name, value in merged.items() if name in kept}


def _follow(directive: str, value: Any, merged: dict[str, Any], path: str) -> None:  # noqa: ANN401 - of a patch
    """Follow a directive about one field of *merged*, or about all of them."""
    if directive.startswith(_DELETE_WORDS):
        field = directive.removeprefix(_DELETE_WORDS)
        merged[field] = [each for each in merged.get(field, ()) if each not in value]
    elif directive not in {_DIRECTIVE, _RETAIN}:
        known = f"{_DIRECTIVE}, {_RETAIN} and {_DELETE_WORDS}..."
        raise _wrong(path, f"{directive} is no directive that cnflow follows; it knows {known}")


def _merged_value(name: str, ours: Any, theirs: Any, path: str) -> Any:  # noqa: ANN401 - parts of an object
    if ours is not None and _shape(ours) != _shape(theirs):
        raise _wrong(path, f"must be {_shape(ours)}, not {theirs!r}")
    if isinstance(theirs, Mapping):
        return merge(ours or {}, theirs, path)
    if isinstance(theirs, (list, tuple)):
        key = _merge_key(name, path)
        if key and all(isinstance(each, Mapping) for each in theirs):
            return _merged_list(ours or (), theirs, key, path)
        if key:
            raise _wrong(path, f"must be a list of tables, not {theirs!r}")
        if name in _MERGED_WORDS:
            return [*(ours or ()), *(each for each in theirs if each not in (ours or ()))]
        return [_plain(each, path) for each in theirs]
    return theirs


def _merge_key(name: str, path: str) -> str:
    if name == "ports":  # of a Service, or of a container
        return "port" if path == "spec.ports" else "containerPort"
    return _MERGE_KEYS.get(name, "")


def _merged_list(ours: Sequence[Any], theirs: Sequence[Mapping[str, Any]], key: str, path: str) -> list[Any]:
    """Merge elements by their *key*; new ones come last."""
    if any(_DIRECTIVE in each and key not in each and each[_DIRECTIVE] == "replace" for each in theirs):
        return [_plain(each, path) for each in theirs if _DIRECTIVE not in each]
    merged = {each[key]: each for each in ours}
    for each in theirs:
        if key not in each:
            raise _wrong(path, f"each element needs {key!r}, by which it is found; {dict(each)!r} has none")
        found = each[key]
        if each.get(_DIRECTIVE) == "delete":
            merged.pop(found, None)
        else:
            merged[found] = merge(merged.get(found, {}), each, f"{path}[{found}]")
    return list(merged.values())


def _plain(value: Any, path: str) -> Any:  # noqa: ANN401 - a part of a patch
    """Return a part of a patch that has no counterpart, without directives and deletions."""
    return merge({}, value, path) if isinstance(value, Mapping) else value


def _shape(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, (list, tuple)) else "a single value"


def _wrong(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(f"KubernetesProvider: patch: {path or 'the table'}: {why}.")
