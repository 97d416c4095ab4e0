"""Sites outside of the United States, and configurations for no site in particular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnflow.config.config import Config
from cnflow.config.ec2 import EC2Provider
from cnflow.config.executors import HighThroughputExecutor
from cnflow.config.kubernetes import KubernetesProvider
from cnflow.config.providers import DockerProvider, LocalProvider
from cnflow.configs._site import Site

if TYPE_CHECKING:
    from cnflow.config.providers import ProviderSettings

# https://doc.cc.in2p3.fr/en/Computing/computing-introduction.html: Slurm, which has replaced Grid Engine.
# https://doc.cc.in2p3.fr/fr/Computing/slurm/configuration.html: accounts; htc is the default partition.
# https://doc.cc.in2p3.fr/en/Computing/slurm/environment.html: a job declares the storage that it uses, by -L.
# https://doc.cc.in2p3.fr/en/Daily-usage/access/kerberos.html: a password, or a Kerberos ticket. The host, and the
# storage "sps": scripts of users on GitHub. Read in November 2026 in stored copies; not tried.
# Not confirmed: Apptainer on the nodes, and 3 GB for a core.
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
    storage: str = "sps",
    image: str = "",
    login: str | None = None,
    **options: Any,  # noqa: ANN401 - of the provider
) -> Config:
    """Computing Centre of IN2P3: a core of a shared node per block, whose tasks use *storage*; images by Apptainer.

    Without a Kerberos ticket a login needs ``channel=SSHInteractiveLoginChannel(...)``.
    """
    lines = [f"#SBATCH --licenses={storage}" if storage else "", options.pop("scheduler_options", "")]
    given = {"account": account, "partition": partition, "scheduler_options": "\n".join(filter(None, lines)), **options}
    return _CC_IN2P3.config(given, image, login)


def slurm_in_5_lines(partition: str | None = None, *, image: str = "", **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """Any cluster with Slurm, from its login node; *options* are those of `SlurmProvider`."""
    return _SLURM.config({"partition": partition, **options}, image, None)


def laptop(image: str = "", **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """This machine: workers are processes, or run in containers of *image*, of its Docker or Podman."""
    provider: ProviderSettings = DockerProvider(**options) if image else LocalProvider(**options)
    chosen: dict[str, Any] = {"image": image} if image else {}
    return Config(executors=[HighThroughputExecutor(label="laptop", provider=provider, **chosen)])


def kubernetes(image: str, namespace: str | None = None, **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """Any Kubernetes cluster: that of the kubeconfig, or of the pod in which the script runs, and its *namespace*."""
    provider = KubernetesProvider(namespace=namespace, **options)
    chosen: dict[str, Any] = {"image": image} if image else {}
    return Config(executors=[HighThroughputExecutor(label="kubernetes", provider=provider, **chosen)])


def ec2(image: str = "", region: str | None = None, **options: Any) -> Config:  # noqa: ANN401 - of the provider
    """Machines of Amazon EC2, with *image* in Docker or bare; the interchange runs on a machine there, too."""
    provider = EC2Provider(region=region, **options)
    chosen: dict[str, Any] = {"image": image} if image else {}
    return Config(executors=[HighThroughputExecutor(label="ec2", provider=provider, **chosen)])
