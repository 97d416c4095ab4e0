"""Parsl's provider for Kubernetes: with Parsl's parameters, their order and their defaults.

::

    KubernetesProvider("app:1", max_mem="500M", secret="registry", persistent_volumes=[("data", "/data")])
        │  translate
        ▼
    image="app:1", max_mem="500MB", image_pull_secrets=["registry"], volumes=[pvc data at /data]
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import kubernetes

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_DECIMAL = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT])")
_SIZES = ("init_mem", "max_mem")


class KubernetesProvider(ParslSettings, kubernetes.KubernetesProvider):
    """`cnflow.config.KubernetesProvider` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = (
        "image",
        "namespace",
        "nodes_per_block",
        "init_blocks",
        "min_blocks",
        "max_blocks",
        "max_cpu",
        "max_mem",
        "init_cpu",
        "init_mem",
        "parallelism",
        "worker_init",
        "pod_name",
        "user_id",
        "group_id",
        "run_as_non_root",
        "secret",
        "persistent_volumes",
    )
    RENAMED: ClassVar[Mapping[str, str]] = {"service_account_name": "service_account"}
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("channel",)
    DEFAULTS: ClassVar[Mapping[str, Any]] = {
        "namespace": "default",
        "init_blocks": 4,
        "max_blocks": 10,
        "max_cpu": 2,
        "max_mem": "500Mi",
        "init_cpu": 1,
        "init_mem": "250Mi",
    }
    """Parsl's defaults where cnflow has others."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate Parsl's parameters; ``max_blocks`` is at least ``init_blocks``, as in Parsl's effect."""
        set_by_user = {name: value for name, value in given.items() if value is not None}
        translated = super().translate({**cls.DEFAULTS, **set_by_user})
        if secret := translated.pop("secret", None):
            translated["image_pull_secrets"] = [secret]
        if name := translated.pop("pod_name", None):
            translated["labels"] = {"app": name, **translated.get("labels", {})}
        claims = translated.pop("persistent_volumes", None) or ()
        if claims:
            volumes = [{"kind": "pvc", "source": claim, "target": target} for claim, target in claims]
            translated["volumes"] = [*translated.get("volumes", ()), *volumes]
        for name in _SIZES:
            if isinstance(size := translated[name], str) and (decimal := _DECIMAL.fullmatch(size.strip())):
                translated[name] = f"{decimal[1]}{decimal[2]}B"  # letters of Kubernetes count by 1000
        most, first = translated["max_blocks"], translated["init_blocks"]
        if isinstance(most, int) and isinstance(first, int):
            translated["max_blocks"] = max(most, first)
        return translated

    @property
    def label(self) -> str:
        """Parsl's name of this kind of provider."""
        return "kubernetes"
