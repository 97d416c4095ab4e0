"""Builds, lists and removes cnflow's own images, for the command ``cnflow image``."""

from __future__ import annotations

import contextlib
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from cnflow.apps.app import App
from cnflow.cli.build_progress import BuildDisplay
from cnflow.cli.script import find_script, run_as_main
from cnflow.config import Config
from cnflow.config.files import load_config
from cnflow.config.providers import DockerProvider
from cnflow.config.registry import backend_of
from cnflow.dataflow import loaded_run
from cnflow.errors import ConfigurationError
from cnflow.images.own_images import RECIPE_LABEL, STEP_LABEL, OwnImage, choose_to_remove, leftover_steps, own_images
from cnflow.model.image import Image
from cnflow.model.image_recipe import REPOSITORY
from cnflow.text import align_columns, amount_of_memory, did_you_mean, duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.providers.docker.building import DockerBuildEngine
    from cnflow.providers.docker.client import Engine

_AGE = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[smhdw]?)", re.IGNORECASE)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_FORMATS = (".toml", ".json", ".yaml", ".yml")
_SHOWN_USERS = 3


def build_images(target: str) -> list[str]:
    """Build the images that *target* names; return their names.

    Args:
        target: a Dockerfile or its folder, a configuration, or a Python file with images, with ``:NAME`` for one alone.

    Raises:
        ConfigurationError: it has no image with a recipe.
        ImageBuildError: one cannot be built.
    """
    wanted = recipes_in(target)
    with _engine() as (engine, _), BuildDisplay(Console(stderr=True, highlight=False)) as display:
        from cnflow.providers.docker.building import build_image

        return [build_image(engine, image, progress=display.progress) for image in wanted]


def recipes_in(target: str) -> list[Image]:
    """Return the images with recipes that *target* names; see `build_images`."""
    path, name = _parts_of(target)
    if path.suffix in _FORMATS:
        found = {str(n): image for n, image in enumerate(_images_of(load_config(path)))}
    elif path.is_dir() or path.suffix != ".py":
        found = {"": Image.from_dockerfile(str(path))}
    else:
        variables = _variables_of(path)
        if name and name not in variables:
            raise ConfigurationError(f"{path} has no variable {name!r}.{did_you_mean(name, variables)}")
        chosen = {name: variables[name]} if name else variables
        found = {each: image for each, value in chosen.items() for image in _images_of(value)}
    if not found:
        what = f"its variable {name!r} is" if name else "it has"
        raise ConfigurationError(
            f"{target}: {what} no image with a recipe, such as Image.python('3.11').pip_install('numpy')."
        )
    return list({image.key: image for image in found.values()}.values())


class _RunReachedError(SystemExit):
    """The file loads a run: all that is before is read."""


def _variables_of(path: Path) -> Mapping[str, object]:
    """Return the variables of a Python file, which is run up to the place where it loads a run.

    Raises:
        SystemExit: it ends before, by an exception for example.
    """
    program = find_script(str(path), ())
    loaded_run.refuse_runs(_RunReachedError())
    try:
        code = run_as_main(program)
    except _RunReachedError:
        code = 0
    if code:
        raise SystemExit(code)
    return vars(sys.modules["__main__"])


def _parts_of(target: str) -> tuple[Path, str]:
    """Return path and name of ``FILE[:NAME]``.

    Raises:
        ConfigurationError: there is no such file.
    """
    if not Path(target).exists():
        path, colon, name = target.rpartition(":")
        if colon and Path(path).is_file() and name.isidentifier():
            return Path(path), name
        raise ConfigurationError(f"{target!r} does not exist. Name a Python file, a configuration, or a Dockerfile.")
    return Path(target), ""


def _images_of(value: object) -> list[Image]:
    """Return the images with recipes of an image, an app, or a configuration; other values have none."""
    images: list[Image] = []
    if isinstance(value, Image):
        images = [value]
    elif isinstance(value, App):
        images = [value._cnflow.options.image]  # noqa: SLF001 - an app has no other answer
    elif isinstance(value, Config):
        images = [executor.image for executor in value.executors]
    return [image for image in images if image.recipe is not None]


def list_images() -> str:
    """Return cnflow's own images as a table; empty if there are none."""
    with _engine() as (_, builds):
        own = own_images(builds.labelled_images(RECIPE_LABEL))
    now = time.time()
    rows = [["IMAGE", "SIZE", "AGE", "USED BY"], *(_row(image, now) for image in own)]
    return align_columns(rows, right={1}) if own else ""


def _row(image: OwnImage, now: float) -> list[str]:
    users = [*image.users[:_SHOWN_USERS], *(["..."] if len(image.users) > _SHOWN_USERS else [])]
    age = duration(max(0.0, now - image.created))
    return [", ".join(image.own_names), amount_of_memory(image.size), age, ", ".join(users) or "-"]


def prune_images(name: str, older_than: str, *, dry_run: bool) -> tuple[list[str], list[str]]:
    """Remove own images that nothing uses.

    Args:
        name: of the images without their tag, such as ``cnflow/train``; empty is all.
        older_than: age that an image must have, such as ``7d``.
        dry_run: remove nothing.

    Returns:
        Names of those that were, or would be, removed; and why others were not.
    """
    seconds = _age(older_than)
    with _engine() as (_, builds):
        chosen = choose_to_remove(builds.labelled_images(RECIPE_LABEL), time.time(), seconds)
        removed: list[str] = []
        refused: list[str] = []
        found = [each for image in chosen for each in image.own_names]
        for each in found if not name else [each for each in found if _is_called(each, name)]:
            why = "" if dry_run else builds.remove_image(each)
            (refused if why else removed).append(f"{each}: {why}" if why else each)
        for step in () if dry_run or name else leftover_steps(builds.labelled_images(STEP_LABEL)):
            builds.remove_image(step.id)
    return removed, refused


def _is_called(image: str, name: str) -> bool:
    repository = image.rpartition(":")[0].removeprefix("localhost/")
    return name.removeprefix(f"{REPOSITORY}/") == repository.removeprefix(f"{REPOSITORY}/")


def _age(text: str) -> float:
    found = _AGE.fullmatch(text.strip())
    if found is None:
        raise ConfigurationError(f"--older-than {text!r} is no age: write a number with s, m, h, d or w, such as 7d.")
    return float(found["number"]) * _UNITS[found["unit"].lower()]


@contextlib.contextmanager
def _engine() -> Iterator[tuple[Engine, DockerBuildEngine]]:
    settings = DockerProvider()
    backend_of(settings)  # raises the error of an extra that is missing
    from cnflow.providers.docker.building import DockerBuildEngine
    from cnflow.providers.docker.client import Engine

    engine = Engine(settings)
    try:
        yield engine, DockerBuildEngine(engine)
    finally:
        engine.close()
