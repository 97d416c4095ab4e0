"""Recipes of images that cnflow builds: steps as values, which nothing here runs. No I/O.

::

    Image.python("3.11").apt_install("git").pip_install("numpy")        one ImageRecipe, with a step for each call
    [executors.image.recipe]                                            the same in TOML
    python = "3.11"
    steps = [{apt_install = ["git"]}, {pip_install = ["numpy"]}]

    cnflow.images.dockerfile compiles a recipe to a Dockerfile; cnflow.images.builder has it built

Each class of step has one field that no other has, by which a table in a file is told apart.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Optional, Union

from cnflow.errors import ConfigurationError
from cnflow.model.image_parts import Secret, known_fields
from cnflow.model.image_recipe_fields import CHECKS, VARIABLE, Words
from cnflow.text import did_you_mean

REPOSITORY = "cnflow"
"""First part of the name of each image that cnflow builds."""

RECIPE_TAG = ":recipe-"
"""Begin of the tag of an image's reference before it is built."""

CONTEXT_LIMIT = 2**30

Secrets = Mapping[str, Secret]


class RecipeStep:
    """Base of the steps of a recipe."""

    def __post_init__(self) -> None:
        for each in fields(self):  # type: ignore[arg-type]  # each subclass is a dataclass
            value = getattr(self, each.name)
            object.__setattr__(self, each.name, _CHECKS[each.name](f"{kind_of(self)}: {each.name}", value))

    @property
    def named_secrets(self) -> Secrets:
        """Secrets of the step, by name."""
        found: Secrets = getattr(self, "secrets", {})
        return found

    def plain(self) -> dict[str, Any]:
        """Return the table that a configuration file has.

        Raises:
            ConfigurationError: a secret needs Python.
        """
        given = ((each.name, getattr(self, each.name)) for each in fields(self))  # type: ignore[arg-type]
        return {name: _plain(value) for name, value in given if value}


@dataclass(frozen=True)
class PipInstall(RecipeStep):
    """Install Python packages."""

    pip_install: Words
    """Requirements, such as ``"numpy==2.1"``."""

    options: Words = ()
    """Further options of pip, such as ``"--pre"``; they stand in the image's history, so no passwords."""

    secrets: Secrets = field(default_factory=dict)
    """Secrets that pip may use, such as the variable ``PIP_INDEX_URL``, or files called ``pip.conf``, ``pip.crt`` (a
    bundle of certificate authorities) and ``netrc``. No layer has them."""


@dataclass(frozen=True)
class Requirements(RecipeStep):
    """Install what a file of requirements lists, and the files that this includes."""

    requirements: str
    """The file, in pip's format."""

    options: Words = ()
    """As for `PipInstall`."""

    secrets: Secrets = field(default_factory=dict)
    """As for `PipInstall`."""


@dataclass(frozen=True)
class UvLock(RecipeStep):
    """Install what a ``uv.lock`` pins, without the project itself; needs uv on the driver's machine."""

    uv_lock: str
    """The file, or its folder; its ``pyproject.toml`` is beside it."""

    groups: Words = ()
    """Dependency groups of the project that are installed too."""

    extras: Words = ()
    """Extras of the project that are installed too."""

    secrets: Secrets = field(default_factory=dict)
    """As for `PipInstall`."""


@dataclass(frozen=True)
class AptInstall(RecipeStep):
    """Install packages of Debian or Ubuntu, without those that are only recommended."""

    apt_install: Words
    """Names of packages."""


@dataclass(frozen=True)
class CopyLocal(RecipeStep):
    """Copy a file, or the content of a folder, from the driver's machine. A ``.dockerignore`` in the folder holds."""

    copy_local: str
    """The file or folder."""

    to: str
    """Absolute path in the image. A file goes under this name, or into this folder if it ends with ``/`` or
    is there."""


@dataclass(frozen=True)
class Env(RecipeStep):
    """Set variables, for later steps and for containers of the image."""

    env: Mapping[str, str]
    """Name -> value; anybody who has the image can read them."""


@dataclass(frozen=True)
class Run(RecipeStep):
    """Run a shell command."""

    run: str
    """The command, for ``/bin/sh``; several lines are one script that ends at the first failure."""

    secrets: Secrets = field(default_factory=dict)
    """Each is a file ``/run/secrets/NAME`` while the command runs, and one whose source is a variable also the variable
    ``NAME``. No layer has them, unless the command writes them into another file."""


@dataclass(frozen=True)
class Workdir(RecipeStep):
    """Set the working directory of later steps and of containers."""

    workdir: str
    """Absolute path in the image; made if it is missing."""


@dataclass(frozen=True)
class User(RecipeStep):
    """Set the user of later steps and of containers."""

    user: str
    """Name or ``uid:gid``."""


STEPS: Mapping[str, type[RecipeStep]] = {
    "apt_install": AptInstall,
    "copy_local": CopyLocal,
    "env": Env,
    "pip_install": PipInstall,
    "requirements": Requirements,
    "run": Run,
    "user": User,
    "uv_lock": UvLock,
    "workdir": Workdir,
}
"""Step by the field that it alone has."""

_KINDS = {step: name for name, step in STEPS.items()}


def kind_of(step: RecipeStep) -> str:
    """Return the field of *step* that no other step has, such as ``pip_install``."""
    return _KINDS[type(step)]


def step_of(value: Any) -> RecipeStep:  # noqa: ANN401 - checked here
    """Parse a step: one of the classes above, or a table of its fields.

    Raises:
        ConfigurationError: it is none of these, or a field is wrong.
    """
    if isinstance(value, RecipeStep):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"A step is a table such as {{pip_install = ['numpy']}}, not {value!r}.")
    kinds = [name for name in value if name in STEPS]
    if len(kinds) != 1:
        near = "" if kinds else "".join(did_you_mean(str(name), STEPS) for name in value)
        what = f"is of {len(kinds)} kinds, {' and '.join(kinds)}" if kinds else "is of no known kind"
        raise ConfigurationError(f"The step {dict(value)!r} {what}.{near} Known: {', '.join(STEPS)}.")
    step: Any = STEPS[kinds[0]]
    made: RecipeStep = step(**known_fields(f"The step {kinds[0]}", value, [each.name for each in fields(step)]))
    return made


@dataclass(frozen=True)
class ImageRecipe:
    """What an image is built from: a start (`base`, `python` or `dockerfile`), and steps on top of it.

    Raises:
        ConfigurationError: fields contradict each other, or one is wrong.
    """

    name: str = ""
    """Part of the image's name, ``cnflow/NAME:HASH``; empty makes one of the start."""

    base: str = ""
    """Image that the steps start from."""

    python: str = ""
    """Version of Python that they start from, such as ``"3.11"``: the image ``python:3.11-slim``, unless `base` or the
    variable ``CNFLOW_BASE_IMAGE`` names another. In the latter, ``{python}`` is the version."""

    dockerfile: str = ""
    """Dockerfile, or its folder, that they start from."""

    context: str = ""
    """Folder whose files that Dockerfile may copy; empty is its own."""

    args: Mapping[str, str] = field(default_factory=dict)
    """Values of its ``ARG``; anybody who has the image can read them."""

    target: str = ""
    """Stage of it that is built; empty is the last."""

    secrets: Secrets = field(default_factory=dict)
    """Secrets for its ``RUN --mount=type=secret,id=NAME``, which needs BuildKit."""

    steps: tuple[RecipeStep, ...] = ()
    """Steps on top of the start, in order."""

    context_limit: Union[int, str] = CONTEXT_LIMIT
    """Limit of the size of all files that are copied, 1 GiB; data is better mounted than copied."""

    def __post_init__(self) -> None:
        for each in fields(self):
            checked = _CHECKS[each.name](f"recipe: {each.name}", getattr(self, each.name))
            object.__setattr__(self, each.name, checked)
        if not (self.dockerfile or self.base or self.python):
            raise ConfigurationError("A recipe needs a start: base='IMAGE', python='3.11' or dockerfile='PATH'.")
        if self.dockerfile and (self.base or self.python):
            raise ConfigurationError("A recipe with a dockerfile starts from its FROM: leave out base and python.")
        stray = [name for name in ("context", "args", "target", "secrets") if getattr(self, name)]
        if stray and not self.dockerfile:
            raise ConfigurationError(f"recipe: {stray[0]} is an option of a recipe with a dockerfile.")

    @classmethod
    def of(cls, value: Any) -> ImageRecipe:  # noqa: ANN401 - checked here
        """Parse a recipe: a value of this class, or a table of its fields.

        Raises:
            ConfigurationError: it is none of these, or a field is wrong.
        """
        if isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise ConfigurationError(f"A recipe is a table such as {{python = '3.11', steps = [...]}}, not {value!r}.")
        return cls(**known_fields("A recipe", value, [each.name for each in fields(cls)]))

    def then(self, step: RecipeStep) -> ImageRecipe:
        """Return the same recipe with one more step."""
        return replace(self, steps=(*self.steps, step))

    def plain(self) -> dict[str, Any]:
        """Return the table that a configuration file has.

        Raises:
            ConfigurationError: a secret needs Python.
        """
        given = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: _plain(value) for name, value in given if value and (name, value) != _DEFAULT_LIMIT}

    @property
    def image_name(self) -> str:
        """Name of the image without its tag."""
        return f"{REPOSITORY}/{self.name or self._name_of_start()}"

    @property
    def reference(self) -> str:
        """Name of the image before it is built: its tag stands for the recipe alone, without the content of files."""
        described = json.dumps(_described(self), sort_keys=True)
        return f"{self.image_name}{RECIPE_TAG}{hashlib.sha256(described.encode()).hexdigest()[:12]}"

    def _name_of_start(self) -> str:
        if self.dockerfile:
            parts = (self.context or self.dockerfile).split("/")
            named = [part for part in parts if part not in ("", ".", "..", "Dockerfile")]
            return _slug(named[-1] if named else "") or "dockerfile"
        return _slug(f"python-{self.python}" if self.python else self.base.partition("@")[0].rpartition("/")[2])


_DEFAULT_LIMIT = ("context_limit", CONTEXT_LIMIT)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _plain(value: Any) -> Any:  # noqa: ANN401 - any field
    if isinstance(value, (RecipeStep, Secret)):
        return value.plain()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _described(value: Any) -> Any:  # noqa: ANN401 - any field
    """Return what tells recipes apart; of a secret that is its representation, which has no text of it."""
    if isinstance(value, (RecipeStep, ImageRecipe)):
        own = {each.name: _described(getattr(value, each.name)) for each in fields(value)}  # type: ignore[arg-type]
        return {type(value).__name__: own}
    if isinstance(value, Mapping):
        return {name: _described(each) for name, each in value.items()}
    if isinstance(value, Secret):
        return f"{value.env}|{value.file}|{value.delivery}"
    return [_described(each) for each in value] if isinstance(value, tuple) else value


def variable_of(name: str, secret: Secret) -> Optional[str]:
    """Return the variable that a build step has a secret as, besides the file; None for a file alone."""
    has_variable = (secret.env or secret.delivery == "environment") and VARIABLE.fullmatch(name)
    return name if has_variable else None


def _steps(where: str, value: Any) -> tuple[RecipeStep, ...]:  # noqa: ANN401 - checked here
    if not isinstance(value, (list, tuple)):
        raise ConfigurationError(f"{where}: must be a list of steps, not {value!r}.")
    return tuple(step_of(each) for each in value)


_CHECKS: Mapping[str, Any] = {**CHECKS, "steps": _steps}
