"""Settings of the provider for Kubernetes: a block is a Job of one or more pods, or a bare pod.

::

    KubernetesProvider(namespace=..., init_cpu=..., volumes=...) ──for_image──> the same with an image's own options
          │                                                                          │
          └── traits, visible_files: known without a cluster                         └── requests.job_for ──> Job
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cnflow.config.image import IMAGE_DEFAULT, AnyImage
from cnflow.config.interchange_place import ClusterSite
from cnflow.config.kubernetes_image import GPU, options_for
from cnflow.config.kubernetes_quantities import Amount, Cpus, Memory, cpus_of
from cnflow.config.kubernetes_volumes import AnySource, AnyVolume, Toleration
from cnflow.config.paths import PathText
from cnflow.config.pod_account import uses_account
from cnflow.config.providers import ProviderSettings, PullPolicy
from cnflow.config.quantities import Duration
from cnflow.config.variables import Variables
from cnflow.model.traits import CapsuleVia, Delivery, LogsVia, NodesVia, Traits
from cnflow.model.visible_files import VisibleFiles
from cnflow.text import did_you_mean
from cnflow.units import Seconds, bytes_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Self

    from cnflow.model.image import Image

OWN_FOLDER = "/.cnflow"
"""Folder in containers for cnflow's code and settings; at the top, where no image has a folder of this name."""

PATCHED_KINDS = ("Pod", "Job", "Secret", "ConfigMap", "Service", "NetworkPolicy")
"""Kinds of objects that a patch can name."""

_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_KEY_OF_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[-._a-zA-Z0-9]+")


def _patches(value: Any) -> Any:  # noqa: ANN401 - pydantic checks the rest
    return [value] if isinstance(value, dict) else value


class KubernetesProvider(ProviderSettings):
    """Blocks are Jobs of a Kubernetes cluster (``pip install 'cnflow[kubernetes]'``): a pod for each node.

    Pods run any image, with nothing of cnflow in it; see the page "Run on Kubernetes".
    """

    backend: ClassVar[str] = "cnflow.providers.kubernetes.provider:KubernetesBackend"
    extra: ClassVar[str] = "kubernetes"
    packages: ClassVar[tuple[str, ...]] = ("kubernetes",)
    kind: Literal["kubernetes"] = "kubernetes"

    kubeconfig: PathText | None = None
    """File with the cluster's address and the user's credentials; None is that of KUBECONFIG, else
    ``~/.kube/config``, and within a pod that has neither, its service account."""

    context: str | None = None
    """Context of the kubeconfig; None is its current one."""

    namespace: str | None = None
    """Namespace of all that is made; None is that of the context or service account, else ``default``."""

    image: AnyImage = IMAGE_DEFAULT
    """Image of executors that name none themselves."""

    pull: PullPolicy | None = None
    """Moment at which a node pulls the image: when it lacks it (``missing``), before each start (``always``), or
    ``never``; None is ``always`` for the tag ``latest`` or none, else ``missing``, as Kubernetes decides it."""

    image_pull_secrets: list[str] = Field(default_factory=list)
    """Names of Secrets with the credentials of registries, beside those of the service account."""

    init_cpu: Cpus | None = 1.0
    """CPUs that each pod asks for, by which the scheduler chooses its node: a number, or thousandths as ``"500m"``.
    Without `max_cpu` also what `cores_per_worker` divides. None leaves it to the namespace."""

    max_cpu: Cpus | None = None
    """CPUs that each pod may use at most; also what `cores_per_worker` divides. None sets no limit."""

    init_mem: Memory | None = "250Mi"
    """Memory that each pod asks for: bytes, or a number with a unit, such as ``"500Mi"``, ``"4Gi"`` or ``"4GB"``. None
    leaves it to the namespace."""

    max_mem: Memory | None = None
    """Memory beyond which a pod is killed; None sets no limit."""

    gpus: Annotated[int, Field(ge=0)] | dict[str, Annotated[int, Field(ge=0)]] | None = None
    """Number of GPUs of each pod, as the resource ``nvidia.com/gpu``, or the resource by its name:
    ``{"amd.com/gpu": 2}``. Workers are shown one each by the executor's `available_accelerators`."""

    extra_requests: dict[str, Amount] = Field(default_factory=dict)
    """Requests for other resources, such as ``{"ephemeral-storage": "10Gi"}``."""

    extra_limits: dict[str, Amount] = Field(default_factory=dict)
    """Limits of other resources, such as ``{"example.com/fpga": 1}``."""

    node_selector: dict[str, str] = Field(default_factory=dict)
    """Labels that a node must have."""

    affinity: dict[str, Any] = Field(default_factory=dict)
    """Rules on nodes and neighbours, as Kubernetes writes them: ``{"nodeAffinity": ...}``."""

    tolerations: list[Toleration] = Field(default_factory=list)
    """Taints of nodes that pods accept: ``"KEY=VALUE:EFFECT"``, a part of that, or a table as Kubernetes writes it."""

    priority_class: str | None = None
    """Name of the pods' PriorityClass."""

    runtime_class: str | None = None
    """Name of the pods' RuntimeClass, such as ``gvisor`` or ``nvidia``."""

    service_account: str | None = None
    """Service account of the pods, whose token tasks then find in the pod. None is the namespace's default one, without
    its token."""

    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of Jobs and pods, beside those of cnflow."""

    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of Jobs and pods."""

    user_id: Annotated[int, Field(ge=0)] | None = None
    """Number of the user in the containers; None is the image's."""

    group_id: Annotated[int, Field(ge=0)] | None = None
    """Number of the group in the containers, to which their volumes belong, too; None is the image's."""

    run_as_non_root: bool | None = None
    """Start no container as root, and give it no rights beyond those of a user: all that the Pod Security level
    ``restricted`` demands. None does so if `user_id` is not root's."""

    read_only_root: bool = False
    """The containers cannot write to their own files; ``/tmp`` is a folder of the pod, in which workers start."""

    volumes: list[AnyVolume] = Field(default_factory=list)
    """Volumes of the containers: ``"pvc:CLAIM:/data"``, ``"config_map:NAME:/etc/app"``, ``"secret:NAME:/etc/keys"``,
    ``"empty_dir:/scratch"``, ``"host_path:/srv/data:/data:ro"``, or a table with the fields of `PodVolume`."""

    environment: Variables = Field(default_factory=dict)
    """Variables set in the containers, on top of the image's."""

    environment_from: list[AnySource] = Field(default_factory=list)
    """Secrets and ConfigMaps whose keys are variables of the containers: ``"secret:NAME"``, ``"config_map:NAME"``."""

    secret_environment: dict[str, str] = Field(default_factory=dict)
    """Variable -> ``"SECRET/KEY"``, the Secret of the namespace and its key that holds the value."""

    worker_init: str = ""
    """Shell commands that run before the workers, in the same shell; the image needs ``/bin/sh`` for it."""

    init_containers: list[dict[str, Any]] = Field(default_factory=list)
    """Containers that run one after another before the workers, as Kubernetes writes them."""

    sidecars: list[dict[str, Any]] = Field(default_factory=list)
    """Containers that run beside the workers, and end with them, as Kubernetes writes them."""

    host_network: bool = False
    """Pods use the network of their node, as fast interconnects may need it."""

    network_policy: bool = False
    """Make NetworkPolicies by which nobody connects to the blocks of the run, and nobody but them to the pod of its
    interchange, if it has one."""

    workload: Literal["job", "pod"] = "job"
    """Object that a block is: a Job, whose pods the cluster makes and removes; or a bare pod, for clusters that grant
    no right to make Jobs."""

    active_deadline: Annotated[Duration, Field(gt=0)] | None = None
    """Seconds after which the cluster ends a Job, the time in which it waits included; None never. `walltime` counts
    from the start of the workers."""

    ttl: Duration = Field(default=300.0, ge=0)
    """Seconds after which the cluster removes a Job that has ended; the driver does that sooner, if it is there."""

    termination_grace: Annotated[Duration, Field(ge=0)] | None = None
    """Seconds from SIGTERM to SIGKILL for a pod that is evicted or deleted; None is 20 s more than the executor's
    `grace_period`, within which its tasks may end."""

    lease_duration: Annotated[Duration, Field(ge=30)] = 300.0
    """Seconds without a sign of the driver after which the cluster itself removes all that belongs to the run: Jobs,
    pods, Secrets and the rest. A run that may be taken over (`adoptable_for`) has at least that long."""

    capsule_claim: str | None = None
    """PersistentVolumeClaim into which the first pod unpacks cnflow's code, and which all share; None unpacks it in
    each pod, unless the image has it."""

    cmd_timeout: Duration = Field(default=30.0, gt=0)
    """Seconds within which the cluster must answer a request."""

    patch: Annotated[list[dict[str, Any]], BeforeValidator(_patches)] = Field(default_factory=list)
    """Changes of what cnflow sends, for all that has no option: a table as Kubernetes writes it, or several, merged as
    ``kubectl patch --type=strategic`` does. One with a ``kind`` changes objects of that kind, one without the pods:
    ``{"spec": {"dnsPolicy": "Default"}}``. The container of the workers is called ``cnflow``."""

    @field_validator("namespace")
    @classmethod
    def _namespace_is_a_name(cls, value: str | None) -> str | None:
        if value is not None and not _NAMESPACE.fullmatch(value):
            raise ValueError(f"{value!r} is no name of a namespace: lower-case letters, digits and '-', at most 63")
        return value

    @field_validator("secret_environment")
    @classmethod
    def _secrets_have_keys(cls, value: dict[str, str]) -> dict[str, str]:
        for name, source in value.items():
            if not _KEY_OF_SECRET.fullmatch(source):
                raise ValueError(f"{name}={source!r}: write the Secret and its key as 'SECRET/KEY'")
        return value

    @field_validator("volumes")
    @classmethod
    def _targets_are_free(cls, volumes: list[Any]) -> list[Any]:
        targets = [volume.target for volume in volumes]
        if twice := next((target for target in targets if targets.count(target) > 1), ""):
            raise ValueError(f"two volumes have the target {twice!r}")
        if own := next((target for target in targets if f"{target}/".startswith(f"{OWN_FOLDER}/")), ""):
            raise ValueError(f"{own!r} is the place of cnflow's own files; choose another target")
        return volumes

    @field_validator("init_containers", "sidecars")
    @classmethod
    def _containers_have_names(cls, containers: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for container in containers:
            if not (container.get("name") and container.get("image")) or container["name"] == "cnflow":
                raise ValueError(f"{container!r} needs a name, which is not 'cnflow', and an image")
        return containers

    @field_validator("patch")
    @classmethod
    def _patches_name_kinds(cls, patches: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for patch in patches:
            kind = patch.get("kind", "Pod")
            if kind not in PATCHED_KINDS:
                near = did_you_mean(str(kind), PATCHED_KINDS)
                raise ValueError(f"kind {kind!r} is none of {', '.join(PATCHED_KINDS)}, which cnflow makes.{near}")
        return patches

    @model_validator(mode="after")
    def _limits_are_not_below_requests(self) -> Self:
        if self.init_cpu is not None and self.max_cpu is not None and cpus_of(self.init_cpu) > cpus_of(self.max_cpu):
            if "init_cpu" in self.model_fields_set:
                raise ValueError(f"init_cpu={self.init_cpu!r} is more than max_cpu={self.max_cpu!r}")
            self.__dict__["init_cpu"] = self.max_cpu  # an assignment would be checked anew, without end
        if self.init_mem is not None and self.max_mem is not None and bytes_in(self.init_mem) > bytes_in(self.max_mem):
            if "init_mem" in self.model_fields_set:
                raise ValueError(f"init_mem={self.init_mem!r} is more than max_mem={self.max_mem!r}")
            self.__dict__["init_mem"] = self.max_mem
        return self

    @model_validator(mode="after")
    def _a_pod_is_one_node(self) -> Self:
        if self.workload == "pod" and self.nodes_per_block != 1:
            raise ValueError(
                f"workload='pod' makes a block of one pod, not of nodes_per_block={self.nodes_per_block}; leave it out"
            )
        if self.workload == "pod" and self.active_deadline is not None:
            raise ValueError("active_deadline is an option of Jobs; set walltime for workload='pod'")
        return self

    @property
    def gpu_resources(self) -> dict[str, int]:
        """GPUs of each pod by the name of their resource."""
        if isinstance(self.gpus, dict):
            return self.gpus
        return {GPU: self.gpus} if self.gpus else {}

    @property
    def node_gpus(self) -> float:
        """Those of a pod."""
        return float(sum(self.gpu_resources.values()))

    @property
    def is_restricted(self) -> bool:
        """Containers have the rights that the Pod Security level ``restricted`` grants, and no more."""
        return bool(self.user_id) if self.run_as_non_root is None else self.run_as_non_root

    @property
    def default_image(self) -> Image:
        """As `image`."""
        image: Image = self.image
        return image

    def traits(self) -> Traits:
        """Traits of pods of one cluster."""
        cores = self.init_cpu if self.max_cpu is None else self.max_cpu
        return Traits(
            runs_images=True,
            delivery=Delivery.SECRET,
            capsule=CapsuleVia.CONFIG_MAP,
            logs=LogsVia.ON_REQUEST,
            nodes=NodesVia.PODS,
            poll_period=Seconds(1.0),
            submit_at_once=500,
            submits_per_second=50.0,
            cores=None if cores is None else cpus_of(cores),
        )

    def site(self) -> ClusterSite:
        """The cluster, in which the interchange runs unless this driver does."""
        return ClusterSite(is_local=uses_account(self.kubeconfig, self.context))

    def for_image(self, image: Image) -> Self:
        """The same with the options of *image*.

        Raises:
            ConfigurationError: pods have no such option.
        """
        own = {name: getattr(self, name) for name in type(self).model_fields}
        changed = options_for(image, own)
        return self.model_copy(update=changed) if changed else self

    def visible_files(self, folders: Sequence[str]) -> VisibleFiles:  # noqa: ARG002 - pods see none of them
        """None of the driver's folders; volumes that outlive the pods."""
        others = tuple(volume.target for volume in self.volumes if volume.outlives_the_pod)
        advice = "Pods see none of this machine's files. Use a volume: KubernetesProvider(volumes=['pvc:CLAIM:/data'])."
        return VisibleFiles((), others, advice)

    def patches_for(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """Those of `patch` that change objects of *kind*, without their kind."""
        named = [(patch.get("kind", "Pod"), patch) for patch in self.patch]
        return [
            {name: value for name, value in patch.items() if name not in {"kind", "apiVersion"}}
            for wanted, patch in named
            if wanted == kind
        ]
