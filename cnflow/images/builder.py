"""Has images built: once for each content, by one process at a time, with a log.

::

    recipe ──> plan ──> bases pulled if need be ──> name cnflow/NAME:HASH ── there? ──> done
                                                        │ no
                                        lock of the name ── there now? ──> done: another process built it
                                                        │ no
                        BuildKit, if engine and command have it ─┬─ else the classic builder, step by step where
                                                                 │  there are secrets (cnflow.images.classic)
                                     ok: the name exists <───────┴──────> ImageBuildError: no name, nothing half-made

The name is given by the engine when all is built, so that a build which is interrupted leaves none.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cnflow.addresses import is_loopback
from cnflow.errors import ImageBuildError
from cnflow.images.build_log import BuildLog
from cnflow.images.buildkit import build_options, find_command, run_build
from cnflow.images.classic import build_classic
from cnflow.images.context import write_folder
from cnflow.images.dockerfile import dockerfile_text
from cnflow.images.failures import base_failure, build_failure
from cnflow.images.own_images import RECIPE_LABEL
from cnflow.images.plan import Plan, make_plan
from cnflow.images.secrets import hide_secrets, read_secrets
from cnflow.text import brief_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cnflow.images.buildkit import BuildCommand
    from cnflow.images.dockerfile import Compiled
    from cnflow.images.engine import BuildEngine
    from cnflow.model.image_recipe import ImageRecipe

logger = logging.getLogger(__name__)

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

BUILDER_VARIABLE = "CNFLOW_BUILDER"
"""Variable with ``buildkit`` or ``classic``, to choose the builder by hand."""

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
"""Predefined build arguments, which no image keeps: https://docs.docker.com/reference/dockerfile/#predefined-args."""


@dataclass(frozen=True)
class Progress:
    """Receives what happens during a build; each part may be called from any thread."""

    on_step: Callable[[str], None]
    """Words of what begins now."""

    on_line: Callable[[str], None] = lambda _: None
    """A line of the builder's output."""


class ImageBuilder:
    """Builds images with one engine.

    Args:
        engine: that builds, and has the images afterwards.
        folder: for locks and logs; made if missing.
        progress: told what happens; None logs the steps.
        environment: of the driver.
        log: file for the builder's output; None is one in *folder*.
    """

    def __init__(
        self,
        engine: BuildEngine,
        folder: Path,
        progress: Progress | None = None,
        *,
        environment: Mapping[str, str] = os.environ,
        log: Path | None = None,
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._progress = progress or Progress(lambda words: logger.info("%s", words))
        self._environment = environment
        self._log = log

    def build(self, recipe: ImageRecipe, platform: str = "", pull: str | None = None) -> str:
        """Return the name of the image that *recipe* gives; build it if the engine does not have it.

        Args:
            recipe: of the image.
            platform: for which it is built; empty is the engine's own.
            pull: policy for its bases, as `Image.pull`.

        Raises:
            ImageBuildError: it cannot be built; names the step, its last lines, and what to do.
            BlockError: the engine does not answer.
        """
        plan = make_plan(recipe, self._environment)
        bases = {base: self._base_id(plan, base, platform, pull) for base in plan.bases}
        fingerprint = plan.fingerprint(bases, platform or self._engine.platform())
        name = f"{recipe.image_name}:{fingerprint[:20]}"
        if self._engine.image_id(name):
            return name
        values = read_secrets(plan.secrets)
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._alone(name):
            if self._engine.image_id(name):
                return name
            self._build(plan, name, fingerprint, platform, values)
        return name

    def _build(self, plan: Plan, name: str, fingerprint: str, platform: str, values: Mapping[str, bytes]) -> None:
        command = self._buildkit()
        if command is None and plan.needs_buildkit:
            why = "it uses an instruction that only BuildKit has, such as RUN --mount"
            raise build_failure(name, "", f"{why}, and requires BuildKit, which was not found.", ())
        begun = time.monotonic()
        path = self._log or self._folder / f"{_file_name(name)}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", buffering=1) as log:
            attempt = Attempt(plan, name, fingerprint, platform, values, self._arguments(plan), log, self._progress)
            self._progress.on_step(f"building image {name} with {'BuildKit' if command else 'the classic builder'}")
            if command is not None:
                self._build_with(command, attempt)
            else:
                build_classic(self._engine, attempt)
        if not self._engine.image_id(name):
            why = "the builder reports success, and the image is not there."
            raise build_failure(name, "", why, (), log.name)
        self._progress.on_step(f"built image {name} in {brief_duration(time.monotonic() - begun)}")

    def _build_with(self, command: BuildCommand, attempt: Attempt) -> None:
        plan = attempt.plan
        with tempfile.TemporaryDirectory(prefix="cnflow-build-") as work:
            folder, hidden = Path(work, "context"), Path(work, "secrets")
            folder.mkdir()
            hidden.mkdir(mode=0o700)
            attempt.refuse_changed(write_folder(plan.entries, folder))
            dockerfile = Path(work, "Dockerfile")
            dockerfile.write_text(dockerfile_text(plan.start, plan.steps), encoding="utf-8")
            # It wins over the .dockerignore of the context, by which the files were chosen already.
            dockerfile.with_name("Dockerfile.dockerignore").write_text("# nothing\n", encoding="utf-8")
            files = {secret: hidden / secret for secret in attempt.values}
            for secret, value in attempt.values.items():
                files[secret].touch(mode=0o600)
                files[secret].write_bytes(value)
            options = {**attempt.options(), "dockerfile": str(dockerfile), "platform": attempt.platform}
            argv = [*command.argv, *build_options(options, files, folder, loads=command.loads)]
            environment = {**self._environment, "DOCKER_BUILDKIT": "1", "BUILDKIT_PROGRESS": "plain"}
            if self._engine.host is not None:
                environment["DOCKER_HOST"] = self._engine.host
            code = run_build(argv, environment, attempt.on_line)
        if code:
            raise attempt.failure(f"{Path(command.argv[0]).name} exited with code {code}")

    def _buildkit(self) -> BuildCommand | None:
        """Return BuildKit's command, if it is to be used.

        Raises:
            ImageBuildError: it is demanded, and not there.
        """
        wanted = self._environment.get(BUILDER_VARIABLE, "")
        if wanted not in {"", "buildkit", "classic"}:
            raise ImageBuildError(f"{BUILDER_VARIABLE}={wanted!r} is no builder: write 'buildkit' or 'classic'.")
        if wanted == "classic":
            return None
        found = find_command(self._environment.get("PATH", "")) if self._engine.can_buildkit() else None
        if found is None and wanted:
            raise ImageBuildError(
                f"{BUILDER_VARIABLE}='buildkit', and no docker command with BuildKit was found, or the engine has "
                "none. Install docker-buildx, or leave the variable out."
            )
        return found

    def _arguments(self, plan: Plan) -> dict[str, str]:
        """Return the build arguments: the user's, and this machine's proxies, where a container can reach them."""
        proxies = {}
        for name in (*_PROXIES, *map(str.lower, _PROXIES)):
            value = self._environment.get(name, "")
            host = value.rpartition("@")[2].rpartition("://")[2].partition("/")[0].rpartition(":")[0]
            if value and not (name.lower() != "no_proxy" and is_loopback(host)):
                proxies[name] = value
        return {**proxies, **plan.recipe.args}

    def _base_id(self, plan: Plan, base: str, platform: str, pull: str | None) -> str:
        here = "" if pull == "always" else self._engine.image_id(base)
        if here:
            return here
        if pull == "never":
            raise base_failure(plan.recipe.image_name, base, "it was not pulled, since pull='never'.")
        self._progress.on_step(f"pulling {base}, the base of image {plan.recipe.image_name}")
        if words := self._engine.pull(base, platform or None):
            raise base_failure(plan.recipe.image_name, base, words)
        return self._engine.image_id(base)

    @contextlib.contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """Hold the lock of an image's name; the kernel releases it when this process ends."""
        with (self._folder / f"{_file_name(name)}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                self._progress.on_step(f"waiting for another process that builds image {name}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


@dataclass
class Attempt:
    """One build of an image: what a builder needs, and what becomes of its output."""

    plan: Plan
    name: str
    fingerprint: str
    platform: str
    values: Mapping[str, bytes]
    """Secrets by name."""

    arguments: Mapping[str, str]
    file: TextIO
    progress: Progress

    def __post_init__(self) -> None:
        """Begin with nothing read."""
        self._read = BuildLog(self.plan.steps)

    def options(self) -> dict[str, str | Mapping[str, str]]:
        """Return the options that both builders have."""
        target = "" if self.plan.recipe.steps else self.plan.recipe.target
        labels = {RECIPE_LABEL: self.fingerprint}
        return {"tag": self.name, "labels": labels, "buildargs": self.arguments, "target": target}

    def on_line(self, line: str) -> None:
        """Take a line of the builder's output."""
        line = hide_secrets(_COLOURS.sub("", line), self.values.values())
        self.file.write(f"{line}\n")
        self.progress.on_line(line)
        if step := self._read.feed(line):
            self._on_begun(step)

    def on_step(self, step: Compiled) -> None:
        """Begin a step that the builder does not announce."""
        self.file.write(f"Step with secrets: {step.title}\n")
        self._on_begun(self._read.begin(step.run()))

    def _on_begun(self, words: str) -> None:
        self.progress.on_step(f"image {self.name}: {words}")

    def refuse_changed(self, written: str) -> None:
        """Refuse files that are not those by which the image is called.

        Raises:
            ImageBuildError: they changed meanwhile.
        """
        if written != self.plan.files:
            raise build_failure(self.name, "", "files to copy changed while they were read. Build it again.", ())

    def failure(self, why: str) -> ImageBuildError:
        """Return the error of this build."""
        reason = hide_secrets(self._read.why or why, self.values.values())
        return build_failure(self.name, self._read.failed_step, reason, self._read.tail, self.file.name)


def _file_name(name: str) -> str:
    return name.replace("/", "-").replace(":", "-")
