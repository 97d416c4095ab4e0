"""Finds an image, pulls it, and probes its Python.

::

    name ──> local id? ──missing──> pull, by the policy ──> id ──> probe: run python3, python ──> Found
                                        └── refused: ImageNotFoundError     │ remembered in the cache
                                                                            └── none: ImageUnusableError
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.capsule import Probe, default_cache_dir, kind_of, no_python, parse_probe, tag_of
from cnflow.errors import BlockRejectedError, ImageNotFoundError
from cnflow.providers.docker.requests import IMAGE_USER, probe_arguments
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from cnflow.capsule import Kind
    from cnflow.providers.docker.client import Engine
    from cnflow.providers.docker.users import ContainerUser

_PYTHONS = ("python3", "python")
_QUOTED = 400
"""Characters of an interpreter's output that an error quotes."""


@dataclass(frozen=True)
class Found:
    """An image that can hold a manager."""

    id: str
    probe: Probe
    kind: Kind

    @property
    def holds_capsule(self) -> bool:
        """True if the capsule that would be delivered is part of the image already."""
        return self.probe.capsule == tag_of(self.kind)


def find_image(engine: Engine, image: str, cache: Path | None = None, user: ContainerUser = IMAGE_USER) -> Found:
    """Find *image*, pull it if the engine's settings say so, and probe its Python as *user* starts it.

    Raises:
        ImageNotFoundError: it is not here, and was not or could not be pulled.
        ImageUnusableError: it has no Python that a capsule can be made for.
        BlockError: the engine does not answer.
    """
    image_id = _resolve(engine, image)
    probe = _probe(engine, image, image_id, cache or default_cache_dir(), user)
    return Found(image_id, probe, kind_of(probe, f"image {image!r}"))


def _resolve(engine: Engine, image: str) -> str:
    """Return the id of *image*, which stands for its content whether it was pulled or built here."""
    settings = engine.settings
    refusal = ""
    here = "" if settings.pull == "always" else engine.image_id(image)
    if not here and settings.pull != "never":
        refusal = engine.pull(image, settings.create.get("platform"))
        here = "" if refusal else engine.image_id(image)
    if here:
        return here
    near = did_you_mean(_with_tag(image), engine.image_names())
    why = f"Pulling it failed: {refusal}" if refusal else "It was not pulled, since DockerProvider(pull='never')."
    raise ImageNotFoundError(f"Image {image!r} was not found.{near} {why}\nBuild it, pull it, or correct its name.")


def _with_tag(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] or "@" in image else f"{image}:latest"


def _probe(engine: Engine, image: str, image_id: str, cache: Path, user: ContainerUser) -> Probe:
    """Return the probe of an image, cached for this image and all settings that could change it."""
    attempts = [probe_arguments(image_id, python, engine.settings, user) for python in _PYTHONS]
    key = hashlib.sha256(json.dumps(attempts, sort_keys=True, default=str).encode()).hexdigest()[:24]
    cached = cache / "probes" / f"{key}.json"
    with contextlib.suppress(OSError):
        if (probe := parse_probe(cached.read_text(encoding="utf-8"))) is not None:
            return probe
    answers = []
    for arguments in attempts:
        output, code = _run(engine, arguments)
        if (probe := parse_probe(output)) is not None:
            _store(cached, probe)
            return probe
        answers.append(
            f"{arguments['entrypoint'][0]}: {output.strip()[-_QUOTED:] or f'exited with code {code}, in silence'}"
        )
    raise no_python(f"image {image!r}", "; ".join(answers))


def _store(file: Path, probe: Probe) -> None:
    with contextlib.suppress(OSError):  # then the image is probed again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as draft:
            draft.write(probe.to_json())
        Path(draft.name).replace(file)


def _run(engine: Engine, arguments: dict[str, Any]) -> tuple[str, int | None]:
    """Run a container to its end; return its output, or the engine's refusal to start it, and its exit code."""
    container = engine.create(arguments)
    with engine.remove_on_failure(container):
        attached = engine.attach(container)
        try:
            engine.start(container)
            return b"".join(attached.output()).decode(errors="replace"), attached.exit_code()
        except BlockRejectedError as error:
            engine.remove(container)
            return str(error), None
        finally:
            attached.close()
