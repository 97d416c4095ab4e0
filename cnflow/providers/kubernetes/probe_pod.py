"""A pod that looks at an image before its first block: how it is made from the block's, and what its end says. No I/O.

::

    pod of a block ── probe_workload ──> two containers of the image:  python3 -c PROBE     python -c PROBE
                                              │ image id, exit codes, words of the runtime, logs
                                              ▼
    judge(attempts) ──┬─ a line of the probe ──> Probe, Survey
                      ├─ neither was found ────> the image has no Python: the capsule carries one
                      └─ else ─────────────────> ImageUnusableError: architecture, entrypoint, variables, ...

It is scheduled like a block, by the same node selector, tolerations, accounts and Secrets, but asks for little.
"""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.capsule import parse_probe
from cnflow.capsule.kinds import no_python
from cnflow.capsule.survey import Survey, parse_survey
from cnflow.errors import ImageUnusableError
from cnflow.providers.kubernetes.names import MANAGED_BY, MANAGER, USER, user_label
from cnflow.providers.kubernetes.pod import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.capsule import Probe

PYTHONS = ("python3", "python")
PLACEHOLDER = "@python@"
"""Stands for the interpreter in the command of the block that `probe_workload` changes."""

PROBE = "cnflow.org/probe"
"""Label of the pod, with its name."""

_LITTLE = {"cpu": "100m", "memory": "64Mi"}
_TTL = 60
_QUOTED = 400

# Words of containerd, CRI-O and shells.
_NOT_FOUND = re.compile(r"executable file .*not found|no such file or directory|: (command )?not found", re.IGNORECASE)
_FOREIGN = re.compile(r"exec format error", re.IGNORECASE)
_CREATION_FAILED = frozenset({"CreateContainerError", "RunContainerError"})
_NOT_EXECUTED = frozenset({126, 127, 128})


class Attempt(NamedTuple):
    """One interpreter's end."""

    python: str
    code: int
    words: str
    """Of the container's runtime, if it did not start; else what it printed."""

    @property
    def is_not_found(self) -> bool:
        """The image has no program of that name."""
        return self.code in _NOT_EXECUTED and bool(_NOT_FOUND.search(self.words))


def probe_workload(block: Mapping[str, Any], name: str, patience: float) -> dict[str, Any]:
    """Return the Job or pod that probes an image, made from one that runs a block of it.

    Args:
        block: as `requests.workload_for` makes it, with `PLACEHOLDER` as its interpreter.
        name: of the new one.
        patience: seconds after which the cluster ends it.
    """
    made = copy.deepcopy(dict(block))
    labels = {**probe_labels(), PROBE: name}
    made["metadata"] = {"name": name, "labels": labels, "annotations": made["metadata"].get("annotations", {})}
    if made["kind"] == "Pod":
        _change_pod(made["spec"])
        made["spec"]["activeDeadlineSeconds"] = int(patience)
        return made
    template = made["spec"]["template"]
    template["metadata"]["labels"] = _without_block(template["metadata"].get("labels", {})) | labels
    _change_pod(template["spec"])
    made["spec"] = {
        "backoffLimit": 0,
        "activeDeadlineSeconds": int(patience),
        "ttlSecondsAfterFinished": _TTL,
        "template": template,
    }
    return made


def probe_labels() -> dict[str, str]:
    """Return the labels of all probes of this user, besides `PROBE`."""
    return {MANAGED_BY: MANAGER, USER: user_label()}


def attempts_of(pod: Mapping[str, Any]) -> dict[str, Attempt | None]:
    """Return how each interpreter ended that has; None for one that runs. The output is not among what a pod tells."""
    found: dict[str, Attempt | None] = {}
    for status in pod.get("status", {}).get("containerStatuses") or ():
        if status["name"] not in PYTHONS:
            continue
        state = status.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting") or {}
        if ended:
            found[status["name"]] = Attempt(status["name"], int(ended["exitCode"]), str(ended.get("message", "")))
        elif waiting.get("reason") in _CREATION_FAILED and _NOT_FOUND.search(str(waiting.get("message"))):
            found[status["name"]] = Attempt(status["name"], min(_NOT_EXECUTED), str(waiting["message"]))
        elif "running" in state:
            found[status["name"]] = None
    return found


def image_id_of(pod: Mapping[str, Any]) -> str:
    """Return the id of the image that the kubelet started; empty before.

    It is ``REPOSITORY@sha256:...`` for one that was pulled, and ``sha256:...`` for one that was loaded on the node.
    """
    statuses = pod.get("status", {}).get("containerStatuses") or ()
    return next((str(each["imageID"]) for each in statuses if each["name"] in PYTHONS and each.get("imageID")), "")


def judge(image: str, attempts: Sequence[Attempt], *, keeps_entrypoint: bool) -> tuple[Probe, Survey] | None:
    """Return what was found out about an image; None if it has no Python.

    Args:
        image: its name, for messages.
        attempts: how the interpreters ended, with their output.
        keeps_entrypoint: the image's entrypoint got them as arguments.

    Raises:
        ImageUnusableError: no interpreter printed what it is, though there is one.
    """
    for attempt in attempts:
        if (probe := parse_probe(attempt.words)) is not None:
            return probe, parse_survey(attempt.words) or Survey()
    words = "; ".join(f"{each.python}: {_quoted(each)}" for each in attempts)
    if any(_FOREIGN.search(attempt.words) for attempt in attempts):
        raise ImageUnusableError(
            f"Image {image!r} is for another architecture than the node that ran it: {words}\nBuild it for that one, "
            "or choose nodes that it is for: KubernetesProvider(node_selector={'kubernetes.io/arch': 'arm64'})."
        )
    if attempts and all(attempt.is_not_found for attempt in attempts):
        return None
    if keeps_entrypoint and any(attempt.code == 0 for attempt in attempts):
        raise ImageUnusableError(
            f"The entrypoint of image {image!r} swallows the command that it gets as its arguments. {words}\nAn "
            'entrypoint that is kept must end by executing its arguments (in sh: exec "$@"). Change it, or leave out '
            "entrypoint=, so that cnflow's command takes its place."
        )
    raise no_python(f"image {image!r}", words)


def refuse_broken_environment(image: str, probe: Probe) -> None:
    """Refuse an image whose Python starts only if it ignores its environment, as workers cannot.

    Raises:
        ImageUnusableError: names the variables.
    """
    if not probe.trouble:
        return
    names = " or ".join(probe.suspects)
    cause = f"with the {names} that is set" if names else "with its environment"
    advice = f"environment={dict.fromkeys(probe.suspects, '')}" if names else "environment=..."
    raise ImageUnusableError(
        f"The Python of image {image!r} does not start {cause}: {probe.trouble[-_QUOTED:]}\nCorrect the ENV of the "
        f"image, or set it here: KubernetesProvider({advice})."
    )


def _change_pod(spec: dict[str, Any]) -> None:
    main = next(each for each in spec["containers"] if each["name"] == CONTAINER)
    spec["containers"] = [_container(main, python) for python in PYTHONS]
    sidecars = [each for each in spec.get("initContainers", ()) if each.get("restartPolicy") == "Always"]
    spec["initContainers"] = [each for each in spec.get("initContainers", ()) if each not in sidecars]
    spec.pop("activeDeadlineSeconds", None)
    spec["terminationGracePeriodSeconds"] = 1


def _container(main: Mapping[str, Any], python: str) -> dict[str, Any]:
    """Return the container that probes one interpreter; only the first asks for devices, which are few."""
    made = {**copy.deepcopy(dict(main)), "name": python}
    for field in ("command", "args"):
        if field in made:
            made[field] = [python if word == PLACEHOLDER else word for word in made[field]]
    resources = made.get("resources", {})
    made["resources"] = {
        kind: {name: _LITTLE.get(name, amount) for name, amount in amounts.items() if _is_asked(name, python)}
        for kind, amounts in resources.items()
    }
    return made


def _is_asked(resource: str, python: str) -> bool:
    return resource in _LITTLE or python == PYTHONS[0]


def _without_block(labels: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in labels.items() if not name.startswith("cnflow.org/")}


def _quoted(attempt: Attempt) -> str:
    words = attempt.words.strip()[-_QUOTED:] or "it printed nothing"
    return f"{words} (exit code {attempt.code})"
