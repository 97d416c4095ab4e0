"""Options of a runtime that an `Image` stands for; those of the image win over the runtime's. No I/O.

::

    ApptainerRuntime(mounts=...) ──────────────┐
                                               ├──options_for──> options of the runtime for this image alone
    Image("app1:0.1", environment={...}, ...) ─┘                 or ConfigurationError: the runtime has no such option

Where and how an image is pulled (`platform`, `pull`, `credentials`, `recipe`) is no matter of the runtime.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import ConfigurationError
from cnflow.model.image_options import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cnflow.config.runtimes import ContainerRuntime
    from cnflow.model.image import Image

_ONLY_ENGINES = {
    "user": "a container has the user of its job. Leave it out, or make the files of the image readable for everybody",
    "pids": "the limit of processes is the scheduler's",
    "ulimits": "limits are those of the job: set them by ulimit in worker_init",
    "network": "a container has the network of its node: leave it out",
}
"""Options that engines alone have -> what holds elsewhere."""


class Own(NamedTuple):
    """Options of the runtime that those of an image are laid over."""

    mounts: Mapping[str, str]
    environment: Mapping[str, str]
    options: tuple[str, ...]

    @classmethod
    def of(cls, runtime: ContainerRuntime) -> Own:
        """Those of *runtime*."""
        return cls(runtime.mounts, runtime.environment, tuple(runtime.options))


def options_for(
    image: Image, kind: str, noun: str, own: Own, engine_options: Callable[[Image], Mapping[str, list[str]]]
) -> dict[str, Any]:
    """Return the options of a runtime that *image* changes, with their values.

    Args:
        image: what is run; its options win.
        kind: of the runtime, under which `Image.extras` has options for it.
        noun: name of the runtime, for messages.
        own: options of the runtime.
        engine_options: options of the program for what only engines have, by name in `Image`.

    Raises:
        ConfigurationError: the runtime does not have an option; the message has what to do.
    """
    honoured = engine_options(image)
    _refuse(image, noun, honoured)
    environment = {**own.environment, **_shares(image), **image.environment}
    mounts = {**own.mounts, **_mounts(image, noun, honoured)}
    options = [*(each for name in honoured for each in honoured[name]), *_extras(image, kind, noun)]
    changed: dict[str, Any] = {}
    if environment != own.environment:
        changed["environment"] = environment
    if mounts != own.mounts:
        changed["mounts"] = mounts
    if options and list(own.options[-len(options) :]) != options:  # else they are those of this image already
        changed["options"] = [*own.options, *options]
    if image.working_dir:
        changed["working_dir"] = image.working_dir
    if image.shared_memory is not None and "shared_memory" not in honoured:
        changed["shared_memory"] = image.shared_memory
    if image.entrypoint == KEPT or isinstance(image.entrypoint, tuple):
        changed["entrypoint"] = KEPT if image.entrypoint == KEPT else list(image.entrypoint)
    if any(secret.delivery == "file" for secret in image.secrets.values()):
        changed["secrets_folder"] = True
    return changed


def _refuse(image: Image, noun: str, honoured: Mapping[str, list[str]]) -> None:
    for name, instead in _ONLY_ENGINES.items():
        value = getattr(image, name)
        if value and name not in honoured and not (name == "network" and value == "host"):
            raise ConfigurationError(f"Image {image.name!r}: {noun} has no {name}: {instead}.")
    if isinstance(image.gpus, tuple) and "gpus" not in honoured:
        raise ConfigurationError(
            f"Image {image.name!r}: gpus={list(image.gpus)!r}: which GPUs a container of {noun} sees is the "
            "scheduler's choice. Ask the provider for their number, such as gpus_per_node=, and leave it out here."
        )


def _shares(image: Image) -> dict[str, str]:
    """Return the container's share as variables for the manager; the scheduler enforces its own limits."""
    shares = {}
    if image.cpus is not None:
        shares["CNFLOW_CORES"] = f"{image.cpus:g}"
    if image.memory is not None:
        shares["CNFLOW_MEMORY"] = str(image.memory)
    return shares


def _mounts(image: Image, noun: str, honoured: Mapping[str, list[str]]) -> dict[str, str]:
    mounts = {}
    for mount in image.mounts:
        if mount.kind == "bind":
            mounts[mount.source] = f"{mount.target}:ro" if mount.read_only else mount.target
        elif "mounts" not in honoured:
            raise ConfigurationError(
                f"Image {image.name!r}: {noun} has no mounts of the kind {mount.kind!r}, only folders of the site: "
                f"'/FOLDER:{mount.target}'."
            )
    return mounts


def _extras(image: Image, kind: str, noun: str) -> list[str]:
    extras = dict(image.extras.get(kind, {}))
    options = extras.pop("options", [])
    if extras or not isinstance(options, (list, tuple)):
        raise ConfigurationError(
            f"Image {image.name!r}: extras: {kind!r} takes further options of the program of {noun}, and nothing else: "
            f"{{{kind!r}: {{'options': ['--OPTION']}}}}."
        )
    return [str(each) for each in options]
