"""Runs a container for its output alone, such as a probe: to its end, or for so many seconds.

::

    create ──> put files ──> attach ──> start ──> output, exit code ──> Ended
                                          │  └── seconds over: removed ──> Ended(was_ended=True)
                                          └── refused ──> Ended(the engine's words, None)
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import BlockError, BlockRejectedError
from cnflow.providers.docker.requests import DELIVERED, DELIVERED_ROOT, UNSEEN, files_archive, mount_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.capsule import Kind
    from cnflow.providers.docker.client import Engine
    from cnflow.providers.docker.delivery import CapsuleDelivery


class Ended(NamedTuple):
    """End of a container."""

    output: str
    """What it printed, or the engine's refusal to start it."""

    code: int | None
    """Exit code; None where the engine refused to start it, or it was ended."""

    was_ended: bool = False
    """Its time was over."""


def run_with_capsule(
    engine: Engine, arguments: dict[str, Any], capsules: CapsuleDelivery, kind: Kind, seconds: float | None = None
) -> Ended:
    """Run a container with the capsule for *kind* in it, as `run_to_its_end` does.

    Raises:
        BlockRejectedError: the engine refuses to create it.
    """
    folder = capsules.folder_to_mount(kind)
    if folder:
        mounts = [*(arguments.get("mounts") or ()), mount_of(folder, f"{DELIVERED_ROOT}:ro")]
        try:
            return run_to_its_end(engine, {**arguments, "mounts": mounts}, seconds=seconds)
        except BlockRejectedError as error:
            if not capsules.on_refused(error, folder):
                raise

    def put(container: str) -> None:
        root = DELIVERED if arguments.get("read_only") else "/"
        engine.unpack(container, root, files_archive({}, UNSEEN, root))
        with capsules.tar(kind).open("rb") as tar:
            engine.unpack(container, DELIVERED_ROOT, tar)

    return run_to_its_end(engine, arguments, put, seconds)


def run_to_its_end(
    engine: Engine,
    arguments: dict[str, Any],
    put: Callable[[str], None] = lambda _: None,
    seconds: float | None = None,
) -> Ended:
    """Run a container to its end.

    Args:
        engine: that runs it.
        arguments: of its creation.
        put: called with the container's id before it starts, to put files into it.
        seconds: after which it is removed; None: never.

    Raises:
        BlockRejectedError: the engine refuses to create it.
    """
    container = engine.create(arguments)
    was_ended = threading.Event()

    def end() -> None:
        was_ended.set()
        with contextlib.suppress(BlockError):
            engine.remove(container)

    timer = threading.Timer(seconds or 0.0, end)
    timer.daemon = True
    with engine.remove_on_failure(container):
        put(container)
        try:
            attached = engine.attach(container)
        except BlockRejectedError as error:  # Podman prepares the container here, and finds what is wrong
            engine.remove(container)
            return Ended(str(error), None)
        try:
            engine.start(container)
            if seconds is not None:
                timer.start()
            output = b"".join(attached.output()).decode(errors="replace")
            code = attached.exit_code()
            return Ended(output, None if was_ended.is_set() else code, was_ended.is_set())
        except BlockRejectedError as error:
            engine.remove(container)
            return Ended(str(error), None)
        finally:
            timer.cancel()
            attached.close()
