"""The classic builder, which the engine's API has. It knows no secrets.

::

    steps:      1  2  3(secret)  4  5
    segments:  [1  2] [3]       [4  5]
                  │    │            └── Dockerfile "FROM id of 3", built; it alone gets the image's name
                  │    └── container of the image of 2; secrets come by its input into memory; committed
                  └── Dockerfile of the start

A step with secrets is cached by a label: the id of the image before it, and its command.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from typing import TYPE_CHECKING, Any

from cnflow.images.context import Entry, file_entry, write_tar
from cnflow.images.dockerfile import Compiled, dockerfile_text
from cnflow.images.own_images import BUILD_LABEL, STEP_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.images.builder import Attempt
    from cnflow.images.engine import BuildEngine

DOCKERFILE = ".cnflow-Dockerfile"
"""Name of the Dockerfile in the context, which the builder leaves out of what can be copied."""


def segments_of(steps: Sequence[Compiled]) -> list[list[Compiled]]:
    """Split *steps* so that each with secrets is alone, and the first and last part have none. Pure."""
    segments: list[list[Compiled]] = [[]]
    for step in steps:
        if step.secrets:
            segments[-1].append(Compiled(step.title, step.before))
            segments += [[step], []]
        else:
            segments[-1].append(step)
    return segments


def build_classic(engine: BuildEngine, attempt: Attempt) -> None:
    """Build an image; its name exists afterwards.

    Raises:
        ImageBuildError: a step failed; no name was given.
        BlockError: the engine does not answer.
    """
    engine.remove_containers(f"{BUILD_LABEL}={attempt.fingerprint}")
    segments = segments_of(attempt.plan.steps)
    start = attempt.plan.start
    for number, segment in enumerate(segments):
        if len(segment) == 1 and segment[0].secrets:
            before = start.removeprefix("FROM ")
            start = _restored(_run_with_secrets(engine, attempt, before, segment[0]), engine.image_config(before))
        else:
            is_last = number == len(segments) - 1
            start = f"FROM {_build_segment(engine, attempt, start, segment, is_first=not number, is_last=is_last)}"


def _restored(image: str, config: Mapping[str, Any]) -> str:
    """Return the beginning of a Dockerfile that gives *image* the entry point and command of before its container."""
    entrypoint, command = json.dumps(config.get("Entrypoint") or []), json.dumps(config.get("Cmd") or [])
    return f"FROM {image}\nENTRYPOINT {entrypoint}\nCMD {command}"


def _build_segment(
    engine: BuildEngine, attempt: Attempt, start: str, steps: Sequence[Compiled], *, is_first: bool, is_last: bool
) -> str:
    options: dict[str, object] = {**attempt.options(), "dockerfile": DOCKERFILE}
    if attempt.platform:
        options["platform"] = attempt.platform
    if not is_last:
        del options["tag"], options["labels"]
    if not is_first:
        del options["target"]
    text = dockerfile_text(start, steps)
    with tempfile.TemporaryFile(prefix="cnflow-context-") as tar:
        attempt.refuse_changed(write_tar(attempt.plan.entries, tar, _own_files(text)))
        tar.seek(0)
        image, words = engine.build(tar, options, attempt.on_line)
    if not image:
        raise attempt.failure(words)
    return image


def _own_files(dockerfile: str) -> list[Entry]:
    """Return the files of a context that no COPY of a whole folder brings into the image.

    The builder reads them first, and then removes what the ``.dockerignore`` names: so that file is ours. What the
    user's own one ignores is not in the context.
    """
    ignore = f"{DOCKERFILE}\n.dockerignore\n"
    return [file_entry(".dockerignore", ignore.encode()), file_entry(DOCKERFILE, dockerfile.encode())]


def _run_with_secrets(engine: BuildEngine, attempt: Attempt, image: str, step: Compiled) -> str:
    key = hashlib.sha256(f"{image}\n{step.shell}\n{sorted(step.secrets)}".encode()).hexdigest()
    cached = engine.labelled_images(f"{STEP_LABEL}={key}")
    attempt.on_step(step)
    if cached:
        attempt.on_line(" ---> Using cache")
        return cached[0].id
    values = {name: attempt.values[name] for name in step.secrets}
    made, code = engine.run_step(
        image, step.argv, values, {STEP_LABEL: key, BUILD_LABEL: attempt.fingerprint}, attempt.on_line
    )
    if not made:
        raise attempt.failure(f"the command exited with code {code}")
    return made
