"""Finds an image, pulls it, and probes its Python, or with the capsule's own one where it has none.

::

    name ──> local id? ──missing──> pull, by the policy ──> id ──> probe: run python3, python ──> Found
                                        └── refused: ImageNotFoundError     │ remembered in the cache
                                                         carried_python <── none
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import platform
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.capsule import (
    CARRIED_PYTHON,
    MARKED_ROOT,
    Probe,
    available_kind,
    capsule_folder,
    capsule_tar,
    carried_kind,
    carrying_kind,
    default_cache_dir,
    kind_of,
    parse_probe,
    runs_workers,
    tag_of,
)
from cnflow.capsule.probe import IMAGE_USER as PROBED_USER
from cnflow.capsule.survey import Survey, parse_survey
from cnflow.errors import BlockRejectedError, ConfigurationError, ImageNotFoundError
from cnflow.images.references import with_tag
from cnflow.model.image_identity import NO_FACTS, ImageFacts
from cnflow.model.image_options import REPLACED
from cnflow.providers.docker import entrypoint, refusals
from cnflow.providers.docker.delivery import CapsuleDelivery
from cnflow.providers.docker.identity import facts_of
from cnflow.providers.docker.pulling import Pull, pull
from cnflow.providers.docker.refusals import Answer
from cnflow.providers.docker.requests import (
    DELIVERED_ROOT,
    IMAGE_USER,
    probe_arguments,
    with_room_for_files,
)
from cnflow.providers.docker.single_run import run_to_its_end, run_with_capsule
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.capsule import Kind
    from cnflow.config import DockerProvider
    from cnflow.model.image import Image
    from cnflow.providers.docker.client import Engine
    from cnflow.providers.docker.users import ContainerUser

logger = logging.getLogger(__name__)

_PYTHONS = ("python3", "python")


@dataclass(frozen=True)
class Found:
    """An image that can hold a manager."""

    id: str
    probe: Probe
    kind: Kind
    settings: DockerProvider
    """Those of the provider, with the options of the image in their place."""

    survey: Survey = field(default_factory=Survey)
    """Other content of the image."""

    facts: ImageFacts = NO_FACTS
    """Names of it in registries, platform, and digest of its packages."""

    @property
    def holds_capsule(self) -> bool:
        """True if the capsule that would be delivered is part of the image already."""
        return self.probe.capsule == tag_of(self.kind)


def find_image(
    engine: Engine,
    image: Image,
    cache: Path | None = None,
    user: ContainerUser = IMAGE_USER,
    capsules: CapsuleDelivery | None = None,
) -> Found:
    """Find *image*, pull it if the engine's settings say so, and probe its Python as *user* starts it.

    One with a recipe is built. One without Python is probed with the one that a capsule carries, which *capsules*
    brings there.

    Raises:
        ImageBuildError: it has a recipe, and cannot be built.
        ImageNotFoundError: it is not here, and was not or could not be pulled.
        ImageUnusableError: it has no Python that a capsule can be made for, or none that starts; names the cause.
        BlockRejectedError: the engine starts no container of it with these settings.
        BlockError: the engine does not answer.
    """
    settings, name = engine.settings.for_image(image), image.name
    if image.recipe is not None:
        from cnflow.providers.docker.building import build_image  # noqa: PLC0415 - imports the SDK, an extra

        name = build_image(engine, image, cache)
    image_id = _resolve(engine, image, settings) if image.recipe is None else engine.image_id(name)
    capsules = capsules or CapsuleDelivery(cache, tar=capsule_tar, folder=capsule_folder, may_mount=False)
    prober = Prober(engine, name, image_id, settings, user, capsules)
    probe = prober.probe(cache or default_cache_dir())
    if probe.trouble:
        raise refusals.broken_environment(name, probe.trouble, probe.suspects)
    kind = kind_of(probe, f"image {name!r}", carrying_kind())
    if kind.carries_python and not runs_workers(probe):
        logger.warning("%s", refusals.runs_on_carried(name, probe, kind, prober.path))
    facts = facts_of(name, engine.inspect_image(image_id), probe, prober.survey.packages)
    found = Found(image_id, probe, kind, settings, prober.survey, facts)
    if not found.holds_capsule:
        found = replace(found, kind=available_kind(kind, cache))
    if image.entrypoint != REPLACED:
        prober.check_entrypoint(image, found)
    return found


def _resolve(engine: Engine, image: Image, settings: DockerProvider) -> str:
    """Return the id of *image*, which stands for its content whether it was pulled or built here."""
    name = image.reference
    here = "" if settings.pull == "always" else engine.image_id(name)
    if not here and settings.pull != "never":
        pull(engine, Pull(name, settings.create.get("platform"), login_of(image)))
        here = engine.image_id(name)
    if here:
        return here
    near = did_you_mean(with_tag(name), engine.image_names())
    raise ImageNotFoundError(
        f"Image {name!r} was not found.{near} It was not pulled, since pull='never'.\nBuild it, pull "
        "it, or correct its name."
    )


def login_of(image: Image) -> dict[str, str] | None:
    """Return user and password for the registry; None leaves them to the file that ``docker login`` writes.

    Raises:
        BlockRejectedError: the source of the password has none.
    """
    if image.credentials is None:
        return None
    try:
        password = image.credentials.password.read("password")
    except ConfigurationError as error:
        raise BlockRejectedError(f"Image {image.name!r}: credentials: {error}") from error
    return {"username": image.credentials.user, "password": password}


class Prober:
    """Runs the interpreters of one image until one reports what it is.

    Args:
        engine: that has the image.
        image: its name, for messages.
        image_id: its id.
        settings: of the provider, with the image's own.
        user: who runs its containers.
        capsules: brings the carried interpreter to an image that has none.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        image_id: str,
        settings: DockerProvider,
        user: ContainerUser,
        capsules: CapsuleDelivery,
    ) -> None:
        self._engine = engine
        self._image = image
        self._image_id = image_id
        self._settings = settings
        self._user = user
        self._capsules = capsules
        self._config = engine.image_config(image_id)
        self.survey = Survey()
        """Set by `probe`."""

    def probe(self, cache: Path) -> Probe:
        """Return the probe of the image, cached for this image and all settings that could change it.

        Raises:
            ImageUnusableError: no interpreter starts; names the cause.
            BlockRejectedError: the engine refuses a container, whatever it runs.
        """
        attempts = [self.arguments(python) for python in _PYTHONS]
        key = hashlib.sha256(json.dumps(attempts, sort_keys=True, default=str).encode()).hexdigest()[:24]
        cached = cache / "probes" / f"{key}.json"
        with contextlib.suppress(OSError):
            text = cached.read_text(encoding="utf-8")
            probe = parse_probe(text)
            if probe is not None and not (probe.is_carried and probe.version != platform.python_version()):
                self.survey = parse_survey(text) or Survey()
                return probe
        answers = []
        for python, arguments in zip(_PYTHONS, attempts, strict=True):
            try:
                output, code, _ = run_to_its_end(self._engine, arguments)
            except BlockRejectedError as error:
                raise refusals.refused_container(self._image, "the probe of its Python", error) from error
            if (probe := parse_probe(output)) is not None:
                self.survey = parse_survey(output) or Survey()
                _store(cached, probe, self.survey)
                return probe
            answers.append(Answer(python, output.strip(), code))
        if refusals.lacks_python(answers):
            probe = self._probe_carried(answers)
            _store(cached, probe, self.survey)
            return probe
        self._refuse_loader_variables(answers)
        raise refusals.no_start(self._image, answers, self.path, self._memory_limit())

    def _probe_carried(self, answers: Sequence[Answer]) -> Probe:
        """Probe with the interpreter that a capsule carries: the image's own capsule, or one that is brought there."""
        kind = carried_kind(self._engine.image_machine(self._image_id), f"image {self._image!r}", carrying_kind())
        output, *_ = run_to_its_end(self._engine, self.arguments(f"{MARKED_ROOT}/{CARRIED_PYTHON}"))
        own = parse_probe(output)
        if own is not None and own.capsule == tag_of(kind):
            self.survey = _without_python(parse_survey(output))
            return replace(own, is_carried=True)
        self._capsules.prepare(kind, self._engine.info())
        arguments = with_room_for_files(self.arguments(f"{DELIVERED_ROOT}/{CARRIED_PYTHON}"))
        output, code, _ = run_with_capsule(self._engine, arguments, self._capsules, kind)
        probe = parse_probe(output)
        if probe is None:
            answers = [*answers, Answer("the carried Python", output.strip(), code)]
            raise refusals.no_start(self._image, answers, self.path, self._memory_limit())
        self.survey = _without_python(parse_survey(output))
        return replace(probe, is_carried=True)

    @property
    def path(self) -> str:
        """PATH of its containers; empty if it is not set."""
        return self._variables().get("PATH", "")

    def arguments(self, python: str, **variables: str) -> dict[str, Any]:
        """Return the arguments of a container in which the interpreter *python* runs the probe."""
        if self._user.name and self._config.get("User"):
            variables[PROBED_USER] = str(self._config["User"])
        return probe_arguments(self._image_id, python, self._settings, self._user, variables)

    def check_entrypoint(self, image: Image, found: Found) -> None:
        """See that the entrypoint which *image* keeps, or has, executes its arguments.

        Raises:
            ImageUnusableError: it does not.
        """
        arguments = with_room_for_files(entrypoint.arguments_for(image, self.arguments(found.probe.executable)))
        try:
            if found.probe.is_carried and not found.holds_capsule:
                self._capsules.prepare(found.kind, self._engine.info())
                ended = run_with_capsule(self._engine, arguments, self._capsules, found.kind, entrypoint.PATIENCE)
            else:
                ended = run_to_its_end(self._engine, arguments, seconds=entrypoint.PATIENCE)
        except BlockRejectedError as error:
            raise entrypoint.not_started(image, error) from error
        entrypoint.check(image, ended)

    def _variables(self) -> dict[str, str]:
        """Return the variables of the image, and those that the settings add."""
        lines = (str(line).partition("=") for line in self._config.get("Env") or ())
        return {**{name: value for name, _, value in lines}, **self._settings.environment}

    def _memory_limit(self) -> str:
        return str(self._settings.create.get("mem_limit", ""))

    def _refuse_loader_variables(self, answers: Sequence[Answer]) -> None:
        """Raise the error of variables of the dynamic loader, if an interpreter starts without them.

        Python cannot be told to ignore these.
        """
        variables = self._variables()
        suspects = [name for name in variables if name.startswith("LD_") and variables[name]]
        for answer in answers if suspects else ():
            output, *_ = run_to_its_end(self._engine, self.arguments(answer.python, **dict.fromkeys(suspects, "")))
            if parse_probe(output) is not None:
                raise refusals.broken_environment(self._image, answer.words, suspects)


def _without_python(survey: Survey | None) -> Survey:
    """Return *survey* without the carried interpreter, which is not of the image."""
    return Survey() if survey is None else replace(survey, pythons=(), packages={})


def _store(file: Path, probe: Probe, survey: Survey) -> None:
    with contextlib.suppress(OSError):  # then the image is probed again next time
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as draft:
            draft.write(f"{probe.to_json()}\n{survey.to_json()}\n")
        Path(draft.name).replace(file)
