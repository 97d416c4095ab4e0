"""Finds out about an image before its first block: the content that its name stands for, its Python, its capsule.

::

    prepare(image): named by its digest, and looked at before? ── yes ──> cache
                      │ no
                      ▼
                    Job with a pod of two containers (`probe_pod`) ── image id, exit codes, logs ──> Probe, Survey
                      │ waits for ever: ErrImagePull, no such Secret, no node has a GPU     │ judge
                      └────> ImageNotFoundError, BlockRejectedError            kind_of, carried_kind ──> PreparedImage

A pod is asked, not a registry: a node may reach registries and hold images that the driver's machine does not. That
costs about a second for each image and run; the node has pulled it, then.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import platform
import secrets
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.capsule import (
    PROBE_OPTIONS,
    Probe,
    available_kind,
    carried_kind,
    carrying_kind,
    default_cache_dir,
    kind_of,
    parse_probe,
    runs_workers,
    tag_of,
)
from cnflow.capsule.survey import SURVEY_SCRIPT, Survey, parse_survey
from cnflow.errors import BlockError, BlockRejectedError, ImageNotFoundError
from cnflow.ids import BlockId, RunId
from cnflow.kubernetes_api import paths
from cnflow.kubernetes_api.errors import BAD_REQUEST, NOT_FOUND, ApiError, ClusterError
from cnflow.model.block import BlockRequest, BlockState, BlockStatus, EndCause
from cnflow.model.image_identity import ImageFacts, ImageIdentity, is_by_digest
from cnflow.model.image_options import REPLACED
from cnflow.model.manager_settings import ManagerSettings
from cnflow.model.node_command import NodeCommand
from cnflow.model.packages import digest_of_packages
from cnflow.providers.kubernetes.block_secret import owner_of, secret_for
from cnflow.providers.kubernetes.config_maps import STRATEGIC_PATCH
from cnflow.providers.kubernetes.parts import PodParts
from cnflow.providers.kubernetes.probe_pod import (
    PLACEHOLDER,
    PROBE,
    PYTHONS,
    Attempt,
    attempts_of,
    image_id_of,
    judge,
    probe_labels,
    probe_workload,
    refuse_broken_environment,
)
from cnflow.providers.kubernetes.requests import credentials_content, field_validation, workload_for
from cnflow.providers.kubernetes.status import UNSCHEDULABLE, BlockObjects, Waits, judge_block
from cnflow.text import duration
from cnflow.units import Seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from cnflow.capsule import Kind
    from cnflow.config.kubernetes import KubernetesProvider
    from cnflow.kubernetes_api.cluster import Cluster
    from cnflow.model.image import Image

    Warnings = Callable[[Collection[Mapping[str, Any]]], Sequence[Mapping[str, Any]]]

logger = logging.getLogger(__name__)

PATIENCE = Seconds(900.0)
"""Covers an autoscaler's new node, and the pull of a large image."""

_RENEWALS = 3
"""Within one lease, as those of the run's object."""

_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.05, 1.0, 1.3
_WORD_AFTER = 10.0
_OPTIONS = (*PROBE_OPTIONS[:-1], PROBE_OPTIONS[-1] + SURVEY_SCRIPT)


class PreparedImage(NamedTuple):
    """An image in which managers can start."""

    identity: ImageIdentity
    probe: Probe
    kind: Kind
    """Of the capsule that a manager runs from."""

    holds_code: bool
    """The image has the code of this version of cnflow itself."""

    survey: Survey


class _Probed(NamedTuple):
    """Findings of a pod."""

    image_id: str
    probe: Probe | None
    """None for an image without Python."""

    survey: Survey


class ImageProber:
    """Looks at images in one namespace. Safe from any thread.

    Args:
        cluster: that has the nodes.
        settings: of the provider.
        warnings: returns the warnings about objects of the cluster.
        lack_of: returns why no node can ever hold a pod; empty if one could.
        cache_dir: where probes are kept; None decides by `cnflow.capsule.default_cache_dir`.
        is_ending: set when nobody waits for probes any more.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: KubernetesProvider,
        warnings: Warnings = lambda _: (),
        lack_of: Callable[[Mapping[str, Any]], str] = lambda _: "",
        cache_dir: Path | None = None,
        *,
        is_ending: threading.Event | None = None,
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._warnings = warnings
        self._lack_of = lack_of
        self._cache_dir = cache_dir
        self._is_ending = is_ending or threading.Event()
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def prepare(self, image: Image) -> PreparedImage:
        """Find out about *image*, and see that a capsule can be had for it.

        Raises:
            ImageNotFoundError: no node can pull it.
            ImageUnusableError: no manager can run in it; the message has the user's next step.
            BlockRejectedError: the cluster starts no pod of it with these settings.
            BlockError: the cluster does not answer, or started none in time.
        """
        with self._lock:
            lock = self._locks.setdefault(image.key, threading.Lock())
        with lock:
            request = _request(image)
            cached = self._cache_file(request)
            probed = _load(cached) if is_by_digest(image.reference) else None
            if probed is None:
                probed = self._probe(request)
                _store(cached, probed)
        return self._prepared(image, probed)

    def _prepared(self, image: Image, probed: _Probed) -> PreparedImage:
        where = f"image {image.name!r}"
        probe = probed.probe
        if probe is None:
            own = carrying_kind()
            kind = carried_kind(platform.machine(), where, own)
            probe = Probe(platform.python_version(), "CPython", kind.machine, "", "", is_carried=True)
        else:
            refuse_broken_environment(image.name, probe)
            kind = kind_of(probe, where, carrying_kind())
        if kind.carries_python and not runs_workers(probe):
            logger.warning(
                "%s has %s: its apps run on the driver's Python %s, which cnflow brings along with the standard "
                "library alone; commands of bash apps run as in any other image",
                *(where, "no Python" if probe.is_carried else f"{probe}, which is too old for workers", kind.python),
            )
        holds_code = bool(probe.capsule) and probe.capsule == tag_of(kind)
        if not holds_code:
            kind = available_kind(kind, self._cache_dir)
        _, at, digest = probed.image_id.rpartition("@")
        facts = ImageFacts(
            probed.image_id if at else "",
            f"linux/{_ARCHITECTURES.get(probe.machine, probe.machine)}",
            "" if probe.is_carried else probe.version,
            digest_of_packages(probed.survey.packages),
        )
        return PreparedImage(ImageIdentity(digest, facts), probe, kind, holds_code, probed.survey)

    def _probe(self, request: BlockRequest) -> _Probed:
        name = f"cnflow-probe-{secrets.token_hex(5)}"
        login = f"{name}-login" if request.image.credentials is not None else ""
        block = workload_for(request, self._settings, PodParts({}, "", pull_secrets=(login,) if login else ()))
        workload = probe_workload(block, name, min(PATIENCE, self._settings.lease_duration))
        path = (paths.pods if workload["kind"] == "Pod" else paths.jobs)(self._cluster.namespace)
        if login:
            self._make_login(login, request.image)
        made = self._cluster.request("POST", path, body=workload, query=field_validation(self._settings))
        try:
            if login:
                owner = {"metadata": {"ownerReferences": [owner_of({**workload, **made})]}}
                secret = paths.secrets(self._cluster.namespace, login)
                self._cluster.request("PATCH", secret, body=owner, content_type=STRATEGIC_PATCH)
            return self._await(request.image, made, f"{path}/{name}")
        finally:
            with contextlib.suppress(ClusterError):  # then it ends by its deadline, and is removed by its ttl
                query = {"propagationPolicy": "Background", "gracePeriodSeconds": "0"}
                self._cluster.request("DELETE", f"{path}/{name}", query=query)

    def _await(self, image: Image, workload: Mapping[str, Any], path: str) -> _Probed:
        waits, pause, start = Waits(), _FIRST_PAUSE, time.monotonic()
        name, renewed_at, has_word = path.rpartition("/")[2], start, False
        while True:
            pods = self._cluster.list_all(paths.pods(self._cluster.namespace), f"{PROBE}={name}").items
            if pods and (probed := self._probed(image, pods[0])) is not None:
                return probed
            now = Seconds(time.monotonic())
            status = self._status(name, workload, pods, waits, now=now, waited=now - start)
            if status.state is BlockState.FAILED:
                raise _refusal(image, status.message, status.cause)
            if now - start > PATIENCE:
                raise BlockError(
                    f"Image {image.name!r} was not looked at within {duration(PATIENCE)}, in Job {name}: "
                    f"{status.message or 'no word of its pod'}"
                )
            if now - start > _WORD_AFTER and not has_word:
                has_word = True
                logger.warning("image %s is looked at by %s, which waits: %s", image.name, name, status.message)
            if now - renewed_at > self._settings.lease_duration / _RENEWALS:
                workload, renewed_at = self._renewed(path, workload, now - start), now
            if self._is_ending.wait(pause):
                raise BlockError(f"The run ends before image {image.name!r} was looked at.")
            pause = min(pause * _GROWTH, _LONGEST_PAUSE)

    def _status(
        self,
        name: str,
        workload: Mapping[str, Any],
        pods: Sequence[Mapping[str, Any]],
        waits: Waits,
        *,
        now: Seconds,
        waited: float,
    ) -> BlockStatus:
        """Judge the probe as a block is judged."""
        job = None if workload["kind"] == "Pod" else workload
        objects = BlockObjects(job, pods, self._warnings_about(pods, waited, workload), is_bare=job is None)
        status = judge_block(name, objects, waits, now=now, wall=time.time()).status
        if UNSCHEDULABLE not in status.message or not (lack := self._lack_of(pods[0])):
            return status
        return judge_block(name, objects._replace(lack=lack), waits, now=now, wall=time.time()).status

    def _renewed(self, path: str, workload: Mapping[str, Any], age: float) -> Mapping[str, Any]:
        """Move the deadline of a Job, which thus ends soon after its driver; that of a pod cannot be moved."""
        if workload["kind"] == "Pod":
            return workload
        deadline = {"spec": {"activeDeadlineSeconds": math.ceil(age + self._settings.lease_duration)}}
        answer = self._cluster.request("PATCH", path, body=deadline, content_type=STRATEGIC_PATCH)
        return {**workload, **answer}

    def _warnings_about(
        self, pods: Sequence[Mapping[str, Any]], waited: float, workload: Mapping[str, Any]
    ) -> Sequence[Mapping[str, Any]]:
        """Return the warnings, which are asked for only where a pod waits longer than they do."""
        return self._warnings([workload, *pods]) if waited > _LONGEST_PAUSE else ()

    def _probed(self, image: Image, pod: Mapping[str, Any]) -> _Probed | None:
        """Return what the pod has found out; None while that may come."""
        ended = attempts_of(pod)
        attempts: list[Attempt] = []
        for python in PYTHONS:
            if python not in ended:
                return None
            # The kubelet reports an end up to a second late: what has printed its probe need not have ended.
            attempt = ended[python]
            words = attempt.words if attempt is not None and attempt.words else self._log(pod, python)
            is_found = parse_probe(words) is not None
            if attempt is None and not is_found:
                return None
            attempts.append(Attempt(python, 0 if attempt is None else attempt.code, words))
            if is_found:
                break
        found = judge(image.name, attempts, keeps_entrypoint=image.entrypoint != REPLACED)
        return _Probed(image_id_of(pod), *(found or (None, Survey())))

    def _log(self, pod: Mapping[str, Any], container: str) -> str:
        path = paths.pods(self._cluster.namespace, pod["metadata"]["name"], "log")
        try:
            return self._cluster.text(path, {"container": container}).decode(errors="replace")
        except ApiError as error:
            if error.status in {BAD_REQUEST, NOT_FOUND}:  # it has not started
                return ""
            raise

    def _make_login(self, name: str, image: Image) -> None:
        content = credentials_content(image)
        made = secret_for(name, content, labels={**probe_labels(), PROBE: name}, kind="kubernetes.io/dockerconfigjson")
        self._cluster.request("POST", paths.secrets(self._cluster.namespace), body=made)

    def _cache_file(self, request: BlockRequest) -> Path:
        """Return the file for an image with all that could change its probe."""
        made = workload_for(request, self._settings, PodParts({}, ""))
        spec = made["spec"] if made["kind"] == "Pod" else made["spec"]["template"]["spec"]
        described = json.dumps([self._cluster.server, spec], sort_keys=True, default=str)
        key = hashlib.sha256(described.encode()).hexdigest()[:24]
        return (self._cache_dir or default_cache_dir()) / "probes" / f"kubernetes-{key}.json"


_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def _request(image: Image) -> BlockRequest:
    manager = ManagerSettings(hosts=(), endpoint="", executor="probe", block="0")
    command = NodeCommand((PLACEHOLDER, *_OPTIONS))
    return BlockRequest(RunId("probe"), "probe", BlockId("0"), image, manager, Path(), command=command)


def _refusal(image: Image, words: str, cause: EndCause | None) -> BlockError:
    if cause is EndCause.IMAGE:
        return ImageNotFoundError(f"No node can start image {image.name!r}: {words}")
    return BlockRejectedError(f"The cluster starts no pod of image {image.name!r}: {words}")


def _load(file: Path) -> _Probed | None:
    try:
        first, *rest = file.read_text(encoding="utf-8").splitlines()
        known = json.loads(first)
        text = "\n".join(rest)
        return _Probed(known["image_id"], parse_probe(text), parse_survey(text) or Survey())
    except (OSError, ValueError, KeyError):
        return None


def _store(file: Path, probed: _Probed) -> None:
    lines = [json.dumps({"image_id": probed.image_id})]
    lines += [] if probed.probe is None else [probed.probe.to_json()]
    with contextlib.suppress(OSError):  # then the image is looked at again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as draft:
            draft.write("\n".join([*lines, probed.survey.to_json(), ""]))
        Path(draft.name).replace(file)
