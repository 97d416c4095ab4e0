"""Waits of pods that never end, by the words of kubelet, scheduler and Job controller. Tables, no I/O.

::

    reason and words of a wait ──judge_wait──> Wait: seconds after which it counts as a failure, cause, advice
        "ErrImagePull", "... not found"            0 s, IMAGE
        "ErrImagePull", "... i/o timeout"          120 s, IMAGE: another try of the kubelet may succeed
        "Unschedulable", "... Insufficient cpu"    never: an autoscaler may bring a node in minutes
        "FailedCreate", "... exceeded quota"       never: blocks that end make room
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.model.block import EndCause
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE = Seconds(0.0)
SOON = Seconds(5.0)
"""Covers an object that comes a moment later, such as the service account of a new namespace."""

LATER = Seconds(120.0)
"""Covers several tries of the kubelet, whose pauses grow from 10 s."""


class Wait(NamedTuple):
    """Judgement of a pod that waits."""

    patience: Seconds | None
    """Seconds after which the wait counts as a failure; None waits for ever."""

    cause: EndCause = EndCause.OTHER
    advice: str = ""
    """The user's next step."""

    is_for_good: bool = False
    """The next block will wait in the same way."""


ENDLESS = Wait(None)

_NAME_IT = "Correct the image's name, or push it to its registry."
_SIGN_IN = (
    "Correct the image's name, or name a Secret with the registry's credentials: "
    "KubernetesProvider(image_pull_secrets=[...]); kubectl create secret docker-registry makes one."
)
_SECRET = "Make that object in the pods' namespace, or correct its name in the provider's settings."  # noqa: S105 - advice

# Words of containerd and CRI-O, https://github.com/opencontainers/distribution-spec (error codes).
_PULL: Sequence[tuple[str, Wait]] = (
    (
        r"no match for platform|no matching manifest|exec format",
        Wait(
            AT_ONCE,
            EndCause.IMAGE,
            "Build the image for the architecture of the nodes, or choose nodes that it is for: "
            "KubernetesProvider(node_selector={'kubernetes.io/arch': 'amd64'}).",
        ),
    ),
    (
        r"\b(401|403)\b|unauthorized|denied|forbidden|insufficient.scope|authentication required",
        Wait(AT_ONCE, EndCause.IMAGE, _SIGN_IN),
    ),
    (
        r"dial tcp (127\.\d+\.\d+\.\d+|\[::1\]):\d+: connect: connection refused",
        Wait(
            SOON,
            EndCause.IMAGE,
            "A name that begins with localhost is looked for on the node itself. Load the image on all nodes, or push "
            "it to a registry that they reach.",
        ),
    ),
    (r"no such host", Wait(SOON, EndCause.IMAGE, _NAME_IT)),
    (
        r"not found|manifest unknown|name unknown|invalid reference|does not exist",
        Wait(AT_ONCE, EndCause.IMAGE, _NAME_IT),
    ),
    (r"", Wait(LATER, EndCause.IMAGE, "See whether the nodes reach the image's registry.")),
)

_CONFIG: Sequence[tuple[str, Wait]] = (
    (
        r"runAsNonRoot|non-root",
        Wait(AT_ONCE, advice="Give the user of the containers by its number: KubernetesProvider(user_id=1000)."),
    ),
    (r"secret|configmap|couldn't find key", Wait(SOON, advice=_SECRET)),
    (r"", Wait(SOON)),
)

_CREATE: Sequence[tuple[str, Wait]] = (
    (r"exceeded quota|quota exceeded", ENDLESS),
    (r"serviceaccount|service account", Wait(SOON, advice="Make it, or correct KubernetesProvider(service_account).")),
    (r"PriorityClass", Wait(AT_ONCE, advice="Correct KubernetesProvider(priority_class).")),
    (r"RuntimeClass", Wait(AT_ONCE, advice="Correct KubernetesProvider(runtime_class).")),
    (
        r"violates PodSecurity",
        Wait(
            AT_ONCE,
            advice="The namespace demands what KubernetesProvider(user_id=1000, run_as_non_root=True) gives, and no "
            "volumes of the kind host_path.",
        ),
    ),
    (r"denied the request|is forbidden|is invalid|must specify", Wait(AT_ONCE)),
    (r"", Wait(LATER)),
)

_MOUNT: Sequence[tuple[str, Wait]] = (
    (r"(secret|configmap) .*not found|references non-existent", Wait(SOON, advice=_SECRET)),
    (
        r"hostPath type check failed|does not exist",
        Wait(SOON, advice="Correct the volume's path: it is one of the node."),
    ),
    (r"", ENDLESS),
)

_SANDBOX: Sequence[tuple[str, Wait]] = (
    (r"no runtime for|RuntimeHandler .*not supported", Wait(SOON, advice="Correct KubernetesProvider(runtime_class).")),
    (r"", ENDLESS),
)

_SCHEDULER: Sequence[tuple[str, Wait]] = (
    (
        r"persistentvolumeclaim .*not found",
        Wait(
            SOON, advice="Make that claim in the pods' namespace, or correct its name in KubernetesProvider(volumes)."
        ),
    ),
    (r"", ENDLESS),
)

_BROKEN_IMAGE = Wait(SOON, EndCause.IMAGE)

# Reasons of https://github.com/kubernetes/kubernetes/blob/v1.37.2/pkg/kubelet/images/types.go and
# .../kuberuntime/kuberuntime_container.go; those of events in pkg/kubelet/events/event.go.
_REASONS: dict[str, Sequence[tuple[str, Wait]]] = {
    "ErrImagePull": _PULL,
    "ImagePullBackOff": _PULL,
    "RegistryUnavailable": _PULL,
    "SignatureValidationFailed": ((r"", Wait(AT_ONCE, EndCause.IMAGE)),),
    "InvalidImageName": ((r"", Wait(AT_ONCE, EndCause.IMAGE, "Correct the image's name.")),),
    "ErrImageNeverPull": (
        (r"", Wait(AT_ONCE, EndCause.IMAGE, "Load the image on the nodes, or leave out pull='never'.")),
    ),
    "ImageInspectError": ((r"", Wait(LATER, EndCause.IMAGE)),),
    "CreateContainerConfigError": _CONFIG,
    "CreateContainerError": ((r"", _BROKEN_IMAGE),),
    "RunContainerError": ((r"", _BROKEN_IMAGE),),
    "CrashLoopBackOff": ((r"", Wait(AT_ONCE)),),
    "FailedCreate": _CREATE,
    "FailedMount": _MOUNT,
    "FailedAttachVolume": _MOUNT,
    "FailedCreatePodSandBox": _SANDBOX,
    "Unschedulable": _SCHEDULER,
    "SchedulingGated": _SCHEDULER,
}


def judge_wait(reason: str, words: str) -> Wait:
    """Return what a wait for *reason*, of which the cluster says *words*, means for the block."""
    table = _REASONS.get(reason, ())
    return next((wait for pattern, wait in table if re.search(pattern, words, re.IGNORECASE)), ENDLESS)
