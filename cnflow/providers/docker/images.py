"""Finds an image, pulls it, looks at its Python, and gets its capsule."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import docker.errors

from cnflow.capsule import (
    Probe,
    capsule_folder,
    default_cache_dir,
    kind_of,
    no_python,
    parse_probe,
    tag_of,
)
from cnflow.errors import ImageNotFoundError
from cnflow.providers.docker.client import answering, connect, create, discard, rejecting, removed_on_failure, words
from cnflow.providers.docker.container import Running
from cnflow.providers.docker.requests import probe_arguments
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from cnflow.capsule import Kind
    from cnflow.config import DockerProvider

_PYTHONS = ("python3", "python")
_WORDS = 400


@dataclass(frozen=True)
class Found:
    """An image that can hold a manager."""

    id: str
    probe: Probe
    kind: Kind

    @property
    def holds_capsule(self) -> bool:
        """Whether the very capsule that would be delivered lies in the image already."""
        return self.probe.capsule == tag_of(self.kind)


def find(client: docker.DockerClient, image: str, settings: DockerProvider, cache: Path | None = None) -> Found:
    """Find *image*, pull it if the settings say so, and look at its Python.

    Raises:
        ImageNotFoundError: it is not here, and was not or could not be pulled.
        ImageUnusableError: it has no Python that a capsule can be made for.
        BlockError: the engine does not answer.
    """
    image_id = _resolve(client, image, settings)
    probe = _probe(client, image, image_id, settings, cache or default_cache_dir())
    return Found(image_id, probe, kind_of(probe, f"image {image!r}"))


def unpack_capsule(image: str, directory: Path, settings: DockerProvider) -> None:
    """Write the capsule that *image* needs into *directory*, with the marker by which a provider knows it.

    Raises:
        ImageNotFoundError, ImageUnusableError, BlockError, CapsuleError: *directory* is as it was.
    """
    client = connect(settings)
    try:
        found = find(client, image, settings)
    finally:
        client.close()
    shutil.copytree(capsule_folder(found.kind), directory, dirs_exist_ok=True)


def _resolve(client: docker.DockerClient, image: str, settings: DockerProvider) -> str:
    """The id of *image*, which stands for its content whether it was pulled or built here."""
    refusal = ""
    here = "" if settings.pull == "always" else _local_id(client, image, settings)
    if not here and settings.pull != "never":
        refusal = _pull(client, image, settings)
        here = "" if refusal else _local_id(client, image, settings)
    if here:
        return here
    near = did_you_mean(_tagged(image), _local_names(client, settings))
    why = f"Pulling it failed: {refusal}" if refusal else "It was not pulled, since DockerProvider(pull='never')."
    raise ImageNotFoundError(f"Image {image!r} is not to be had.{near} {why}\nBuild it, pull it, or correct its name.")


def _local_id(client: docker.DockerClient, image: str, settings: DockerProvider) -> str:
    with rejecting(f"look for image {image!r}", settings):
        try:
            return str(client.images.get(image).id)
        except docker.errors.NotFound:
            return ""


def _pull(client: docker.DockerClient, image: str, settings: DockerProvider) -> str:
    """Pull *image*; the engine's words when that failed, else empty."""
    platform = settings.create.get("platform")
    with answering(settings):
        try:
            events = client.api.pull(image, stream=True, decode=True, platform=platform)
            return next((str(event["error"]) for event in events if "error" in event), "")
        except docker.errors.APIError as error:
            return words(error)


def _local_names(client: docker.DockerClient, settings: DockerProvider) -> list[str]:
    with rejecting("list its images", settings):
        return sorted(name for image in client.api.images() for name in image.get("RepoTags") or [])


def _tagged(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def _probe(client: docker.DockerClient, image: str, image_id: str, settings: DockerProvider, cache: Path) -> Probe:
    """What the image's Python says of itself: remembered for this image and all settings that could change it."""
    asked = [probe_arguments(image_id, python, settings) for python in _PYTHONS]
    key = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:24]
    remembered = cache / "probes" / f"{key}.json"
    with contextlib.suppress(OSError):
        if (probe := parse_probe(remembered.read_text(encoding="utf-8"))) is not None:
            return probe
    said = []
    for arguments in asked:
        output, code = _run(client, arguments, settings)
        if (probe := parse_probe(output)) is not None:
            _remember(remembered, probe)
            return probe
        said.append(
            f"{arguments['entrypoint'][0]}: {output.strip()[-_WORDS:] or f'exited with code {code}, in silence'}"
        )
    raise no_python(f"image {image!r}", "; ".join(said))


def _remember(file: Path, probe: Probe) -> None:
    with contextlib.suppress(OSError):  # then it is asked again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as draft:
            draft.write(probe.to_json())
        Path(draft.name).replace(file)


def _run(client: docker.DockerClient, arguments: dict[str, Any], settings: DockerProvider) -> tuple[str, int | None]:
    """Run a container to its end: what it printed, or the engine's words on why it did not start; its exit code."""
    container = create(client, arguments, settings)
    with removed_on_failure(client, container), answering(settings):
        running = Running(client, container)
        try:
            client.api.start(container)
            return b"".join(running.output()).decode(errors="replace"), running.exit_code()
        except docker.errors.APIError as error:
            discard(client, container)
            return words(error), None
        finally:
            running.close()
