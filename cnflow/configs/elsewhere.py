"""Sites outside of the United States, and configurations for no site in particular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.config.config import Config
from cnflow.config.executors import HighThroughputExecutor
from cnflow.config.providers import DockerProvider, LocalProvider
from cnflow.configs._site import Site

if TYPE_CHECKING:
    from cnflow.config.providers import ProviderSettings

# https://doc.cc.in2p3.fr/en/Computing/job-types/job-generic.html: Slurm, which has replaced Grid Engine
_CC_IN2P3 = Site(
    "cc_in2p3",
    "cca.in2p3.fr",
    "slurm",
    asks=False,
    defaults={"exclusive": False, "cores_per_node": 1, "mem_per_node": "3g", "runtime": "apptainer"},
)

_SLURM = Site("slurm", "", "slurm")


def cc_in2p3(
    account: str,
    *,
    partition: str = "htc",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Computing Centre of IN2P3: a core of a shared node per block; images by Apptainer."""
    return _CC_IN2P3.config({"account": account, "partition": partition, **options}, image, login)


def slurm_in_5_lines(partition: str | None = None, *, image: str = "", **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """Any cluster with Slurm, from its login node; *options* are those of `SlurmProvider`."""
    return _SLURM.config({"partition": partition, **options}, image, None)


def laptop(image: str = "", **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """This machine: workers are processes, or run in containers of *image*, of its Docker or Podman."""
    provider: ProviderSettings = DockerProvider(**options) if image else LocalProvider(**options)
    chosen: dict[str, Any] = {"image": image} if image else {}
    return Config(executors=[HighThroughputExecutor(label="laptop", provider=provider, **chosen)])
