"""Volumes of pods, environment from Secrets, and tolerations, as the user writes them; parsed to values. No I/O.

::

    "pvc:data:/data", {"kind": "empty_dir", "target": "/scratch", "size": "1Gi"} ──> PodVolume
    "secret:NAME", "config_map:NAME" ──> EnvironmentSource
    "gpu=true:NoSchedule" ──> {"key": "gpu", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, field_validator, model_validator

from cnflow.config.base import Settings
from cnflow.config.kubernetes_quantities import Memory
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from typing_extensions import Self

VOLUME_KINDS = ("pvc", "config_map", "secret", "empty_dir", "host_path")
_NAMED = ("pvc", "config_map", "secret")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_KEY = r"[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?"
_TOLERATION = re.compile(rf"(?P<key>{_KEY})?(=(?P<value>[A-Za-z0-9._-]*))?(:(?P<effect>\w+))?")


class PodVolume(Settings):
    """A folder of a pod's containers that comes from outside, or that lasts as long as the pod.

    ``"KIND:SOURCE:TARGET"`` is short for it, with ``:ro`` or ``:rw`` at the end, and ``"empty_dir:TARGET"``. Volumes of
    other kinds (NFS, CSI) are made by `KubernetesProvider.patch`.
    """

    kind: Literal["pvc", "config_map", "secret", "empty_dir", "host_path"]
    """``pvc`` (PersistentVolumeClaim), ``config_map``, ``secret``, ``empty_dir`` or ``host_path``."""

    source: str = ""
    """Name of the claim, ConfigMap or Secret, in the namespace of the pods; path on the node for ``host_path``."""

    target: str
    """Absolute path in the containers."""

    read_only: bool | None = None
    """None is False, except for ``config_map`` and ``secret``, which Kubernetes keeps from being written to."""

    sub_path: str = ""
    """Folder or file within the volume that is mounted, in place of all of it."""

    size: Memory | None = None
    """Limit of an ``empty_dir``."""

    in_memory: bool = False
    """The ``empty_dir`` is in the node's memory, and counts as memory of the pod."""

    @field_validator("target")
    @classmethod
    def _target_is_absolute(cls, target: str) -> str:
        if not target.startswith("/"):
            raise ValueError(f"{target!r} must be an absolute path in the container")
        return posixpath.normpath(target)

    @model_validator(mode="after")
    def _source_fits_the_kind(self) -> Self:
        if self.kind in _NAMED and not _NAME.fullmatch(self.source):
            raise ValueError(f"{self.kind}: source={self.source!r} is no name of an object in Kubernetes")
        if self.kind == "host_path" and not self.source.startswith("/"):
            raise ValueError(f"host_path: source={self.source!r} must be an absolute path on the node")
        if self.kind == "empty_dir" and self.source:
            raise ValueError(f"empty_dir has no source, such as {self.source!r}")
        if self.kind != "empty_dir" and (self.size is not None or self.in_memory):
            raise ValueError(f"only an empty_dir has size and in_memory, not a {self.kind}")
        return self

    @property
    def outlives_the_pod(self) -> bool:
        """True if what is written there is there after the pod."""
        return self.kind in {"pvc", "host_path"}


class EnvironmentSource(Settings):
    """Source of variables: each key of a Secret or ConfigMap is one. ``"secret:NAME"`` is short for it."""

    kind: Literal["secret", "config_map"]
    name: str
    """Of the object, in the namespace of the pods."""

    prefix: str = ""
    """Begins the name of each variable."""


def _volume(value: Any) -> Any:  # noqa: ANN401 - checked here
    """Settings of a volume from its short form or table; other values as they are."""
    if isinstance(value, Mapping):
        return PodVolume(**{str(name): each for name, each in value.items()})
    if not isinstance(value, str):
        return value
    kind, _, rest = value.partition(":")
    if kind not in VOLUME_KINDS:
        raise ValueError(
            f"{value!r}: {kind!r} is no kind of a volume.{did_you_mean(kind, VOLUME_KINDS)} Write 'KIND:SOURCE:TARGET' "
            f"with a kind of {', '.join(VOLUME_KINDS)}"
        )
    read_only = None
    if rest.endswith((":ro", ":rw")):
        read_only, rest = rest.endswith(":ro"), rest[:-3]
    source, _, target = ("", "", rest) if kind == "empty_dir" else rest.rpartition(":")
    if not target.startswith("/"):
        short = "empty_dir:TARGET" if kind == "empty_dir" else f"{kind}:SOURCE:TARGET"
        raise ValueError(f"{value!r} names no absolute path in the container; write '{short}'")
    table: dict[str, Any] = {"kind": kind, "source": source, "target": target, "read_only": read_only}
    return PodVolume(**table)


def _source(value: Any) -> Any:  # noqa: ANN401 - checked here
    if isinstance(value, Mapping):
        return EnvironmentSource(**{str(name): each for name, each in value.items()})
    if not isinstance(value, str):
        return value
    kind, colon, name = value.partition(":")
    if not colon or kind not in {"secret", "config_map"} or not _NAME.fullmatch(name):
        raise ValueError(f"{value!r} names no source of variables; write 'secret:NAME' or 'config_map:NAME'")
    table: dict[str, Any] = {"kind": kind, "name": name}
    return EnvironmentSource(**table)


def _toleration(value: Any) -> Any:  # noqa: ANN401 - checked here
    """Toleration as Kubernetes has it, from ``"KEY=VALUE:EFFECT"`` or a part of that, as ``kubectl taint`` writes."""
    if not isinstance(value, str):
        return value
    written = _TOLERATION.fullmatch(value) if value else None
    if written is None:
        raise ValueError(f"{value!r} is no toleration; write 'KEY=VALUE:EFFECT', 'KEY:EFFECT' or 'KEY'")
    effect = written["effect"]
    if effect is not None and effect not in _EFFECTS:
        raise ValueError(f"{value!r}: {effect!r} is no effect of a taint.{did_you_mean(effect, _EFFECTS)}")
    toleration = {"key": written["key"], "operator": "Exists" if written["value"] is None else "Equal"}
    return {name: each for name, each in {**toleration, "value": written["value"], "effect": effect}.items() if each}


AnyVolume = Annotated[PodVolume, BeforeValidator(_volume)]
AnySource = Annotated[EnvironmentSource, BeforeValidator(_source)]
Toleration = Annotated[dict[str, Any], BeforeValidator(_toleration)]
