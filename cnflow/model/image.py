"""The description of a container image and of how it is run: one value for every engine. No I/O.

::

    "app1:0.1", {"reference": ..., "memory": "4g"} ──Image.of──> Image ──> router: `key`, computed once
                                                                   ├─────> BlockRequest, Provider.prepare
    call's image over app's over executor's                        └─────> memo key: `result_settings`
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets as random_texts
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Optional, Union

from cnflow.errors import ConfigurationError
from cnflow.model import image_recipe as recipes
from cnflow.model.image_options import DEFAULTS, PARSERS
from cnflow.model.image_parts import Credentials, Mount, Secret, known_fields
from cnflow.model.image_recipe import ImageRecipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Literal, TypedDict, Unpack

    class ImageOptions(TypedDict, total=False):
        """Options of an `Image`, as a user may write them."""

        platform: str
        pull: Literal["missing", "always", "never"] | None
        credentials: Credentials | Mapping[str, Any] | tuple[str, Any] | None
        environment: Mapping[str, str]
        secrets: Mapping[str, Secret | str | Mapping[str, Any] | Callable[[], str]] | Sequence[str]
        mounts: Sequence[Mount | str | Mapping[str, Any]]
        user: str
        working_dir: str
        entrypoint: str | Sequence[str]
        shared_memory: int | str | None
        cpus: float | None
        memory: int | str | None
        pids: int | None
        gpus: int | Sequence[str] | None
        network: str
        ulimits: Mapping[str, int | Sequence[int]]
        extras: Mapping[str, Mapping[str, Any]]
        recipe: ImageRecipe | Mapping[str, Any] | None

    Secrets = Union[Sequence[str], Mapping[str, Any]]
    """Secrets of a build step: variables of the driver, or names and sources as in `Image.secrets`."""


FIELDS = tuple(DEFAULTS)
"""Names of the options of an image."""

_OWN_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
_SALT = random_texts.token_bytes(16)


class Image:
    """A container image, and how its containers are run: a value, for which ``"app1:0.1"`` is short.

    An option that is left out is the provider's, such as ``DockerProvider(memory=...)``, and else the engine's own.

    Raises:
        ConfigurationError: an option is unknown (the message names the nearest), or of the wrong type.
    """

    __slots__ = (*FIELDS, "is_plain", "key", "name")

    reference: str
    """Name with tag, or with ``@sha256:...``, as the engine takes it; empty is no image: the bare node."""

    platform: str
    """Platform of an image for several, such as ``linux/arm64``; empty is the engine's own."""

    pull: Optional[str]
    """Moment to pull it: ``missing`` (when the engine lacks it), ``always`` (before each run) or ``never``."""

    credentials: Optional[Credentials]
    """User and password of its registry; None uses the engine's own configuration, as ``docker login`` writes it."""

    environment: Mapping[str, str]
    """Variables set in the container, on top of the image's and the provider's."""

    secrets: Mapping[str, Secret]
    """Name -> source of a secret, such as ``{"HF_TOKEN": "env:HF_TOKEN"}``, or a list of variables of the driver. Each
    is a file ``/run/secrets/NAME`` in memory, or by ``Secret(..., delivery="environment")`` a variable of workers."""

    mounts: tuple[Mount, ...]
    """Folders from outside, such as ``"/data:/data"`` or a `Mount`; read-only unless they end in ``:rw``."""

    user: str
    """User, or ``uid:gid``, in the container."""

    working_dir: str
    """Folder in the container in which the manager and its workers start."""

    entrypoint: Union[str, tuple[str, ...]]
    """``replace``: cnflow's command runs in place of the image's ENTRYPOINT. ``keep``: the ENTRYPOINT runs, with
    cnflow's command as its arguments, which it must execute. A list: that command, with cnflow's as its arguments."""

    shared_memory: Optional[int]
    """Bytes of ``/dev/shm``, or a text such as ``"1g"``."""

    cpus: Optional[float]
    """CPUs that a container may use; also what `cores_per_worker` divides."""

    memory: Optional[int]
    """Bytes, or a text such as ``"4g"``; a container is killed beyond it."""

    pids: Optional[int]
    """Limit of processes and threads; a manager and its workers need about ten and two for each worker."""

    gpus: Union[int, tuple[str, ...], None]
    """Number of GPUs, -1 for all, or a list of device ids."""

    network: str
    """Name of the engine's network, or ``host``."""

    ulimits: Mapping[str, tuple[int, int]]
    """Name of a limit, such as ``nofile`` -> its value, or soft and hard value; -1 is no limit."""

    extras: Mapping[str, Mapping[str, Any]]
    """Options for one runtime alone, which are passed on as they are: ``{"docker": {"read_only": True}}`` are those of
    ``docker.containers.create``."""

    recipe: Optional[ImageRecipe]
    """What the image is built from before its first use; `reference` then stands for the recipe. The methods below make
    one, and a table of a file has it under this name."""

    is_plain: bool
    """Only the reference was given."""

    key: str
    """Text that is equal for equal images of one process; the reference where nothing else was given."""

    name: str
    """Reference as the user wrote it, for messages, also where `reference` is the id or digest that it stands for."""

    def __init__(self, reference: str = "", **options: Unpack[ImageOptions]) -> None:
        given: Mapping[str, Any] = known_fields("An image", options, FIELDS) if options else options
        values = {"reference": reference, **given}
        if given.get("recipe") is not None:
            values["recipe"] = recipe = ImageRecipe.of(given["recipe"])
            if reference and recipes.RECIPE_TAG not in reference:
                raise ConfigurationError(
                    f"Image {reference!r}: an image with a recipe is named by it: leave the name out."
                )
            values["reference"] = recipe.reference
        where = f"Image {values['reference']!r}"
        for name, default in DEFAULTS.items():
            value = values.get(name)
            parsed = default if value is None else PARSERS[name](f"{where}: {name}", value)
            object.__setattr__(self, name, parsed)
        changed = self._given() if given else {}
        is_plain = not changed.keys() - {"reference"}
        object.__setattr__(self, "name", self.reference)
        if self.reference == "" and not is_plain:
            raise ConfigurationError("An image needs a reference, such as Image('app1:0.1', memory='4g').")
        object.__setattr__(self, "is_plain", is_plain)
        object.__setattr__(self, "key", self.reference if is_plain else f"{self.reference}#{_digest_of(changed)}")

    @classmethod
    def of(cls, value: Any) -> Image:  # noqa: ANN401 - checked here
        """Parse the user's option: an `Image`, its reference, or a table of its fields; None and ``""`` are no image.

        Raises:
            ConfigurationError: it is none of these, or a field is wrong.
        """
        if isinstance(value, cls):
            return value
        if not value and (value is None or value == ""):
            return NO_IMAGE
        if isinstance(value, str):
            return cls(value)
        if isinstance(value, Mapping):
            return cls(**{str(name): each for name, each in value.items()})
        raise ConfigurationError(f"image must be an Image, the name of one, or a table, not {value!r}.")

    # Recipes

    @classmethod
    def python(cls, version: str, *, base: str = "", name: str = "") -> Image:
        """Start from the image ``python:VERSION-slim``, or from *base*; its name is ``cnflow/NAME:HASH``."""
        return cls(recipe=ImageRecipe(name, base, version))

    @classmethod
    def from_requirements(cls, path: str, *, python: str = "", base: str = "", name: str = "") -> Image:
        """Start as `python` does, by default with the driver's version, and install a file of requirements."""
        start = ImageRecipe(name, base, python or _OWN_PYTHON)
        return cls(recipe=start.then(recipes.Requirements(path)))

    @classmethod
    def from_uv_lock(
        cls,
        path: str,
        *,
        groups: Sequence[str] = (),
        extras: Sequence[str] = (),
        python: str = "",
        base: str = "",
        name: str = "",
    ) -> Image:
        """Start as `python` does, by default with the driver's version, and install what a ``uv.lock`` pins."""
        start = ImageRecipe(name, base, python or _OWN_PYTHON)
        step: Any = {"uv_lock": path, "groups": groups, "extras": extras}
        return cls(recipe=start.then(recipes.step_of(step)))

    @classmethod
    def from_dockerfile(cls, path: str, **options: Any) -> Image:  # noqa: ANN401 - checked by ImageRecipe
        """Start from a Dockerfile, or the one in a folder; *options* are those of `ImageRecipe`, such as ``target``."""
        return cls(recipe=ImageRecipe.of({"dockerfile": path, **options}))

    def pip_install(self, *packages: str, options: Sequence[str] = (), secrets: Secrets = ()) -> Image:
        """Add a step: install Python *packages*; see `PipInstall`."""
        return self._then(recipes.step_of({"pip_install": packages, "options": options, "secrets": secrets}))

    def apt_install(self, *packages: str) -> Image:
        """Add a step: install *packages* of Debian or Ubuntu."""
        return self._then(recipes.AptInstall(packages))

    def copy_local(self, path: str, to: str) -> Image:
        """Add a step: copy a file or the content of a folder of the driver's machine; see `CopyLocal`."""
        return self._then(recipes.CopyLocal(path, to))

    def env(self, **variables: str) -> Image:
        """Add a step: set *variables*, which anybody who has the image can read."""
        return self._then(recipes.Env(variables))

    def run(self, command: str, *, secrets: Secrets = ()) -> Image:
        """Add a step: run a shell *command*; see `Run`."""
        return self._then(recipes.step_of({"run": command, "secrets": secrets}))

    def workdir(self, path: str) -> Image:
        """Add a step: set the working directory of later steps and of containers."""
        return self._then(recipes.Workdir(path))

    def with_user(self, user: str) -> Image:
        """Add a step: set the user of later steps and of containers. `user` is only that of containers."""
        return self._then(recipes.User(user))

    def _then(self, step: recipes.RecipeStep) -> Image:
        recipe = self.recipe or ImageRecipe(base=self.reference)
        return self.replace("", recipe=recipe.then(step))

    def replace(self, reference: str | None = None, **options: Unpack[ImageOptions]) -> Image:
        """Return the image with another *reference* or other *options*; what is not named stays."""
        given = {**self._given(), **options}
        own = given.pop("reference", "")
        return Image(own if reference is None else reference, **given)

    def pinned(self, content: str, pull: Literal["missing", "never"]) -> Image:
        """Return the image by *content*, its id or digest, under the `name` that it has."""
        made = self.replace(content, pull=pull)
        object.__setattr__(made, "name", self.name)
        return made

    __replace__ = replace  # `copy.replace` of Python 3.13

    def plain(self) -> Union[str, dict[str, Any]]:
        """Return what `of` parses to an equal image, as a configuration file has it: the reference, or a table.

        Raises:
            ConfigurationError: a secret needs Python; names it.
        """
        return self.reference if self.is_plain else {name: _plain(name, each) for name, each in self._given().items()}

    def result_settings(self) -> str:
        """Return the settings that can change what a task returns, besides the image's content; empty without any.

        Limits, credentials, secrets and the network change whether a task succeeds, not what it returns.
        """
        given = self._given()
        counting = {name: _plain(name, given[name]) for name in _CHANGE_RESULTS if name in given}
        return json.dumps(counting, sort_keys=True, default=repr) if counting else ""

    def name_for_files(self) -> str:
        """Return a text of letters, digits, ``.``, ``_`` and ``-`` that is the same for equal images in any process.

        Where a secret is a text or a function, it is the same in this process alone.
        """
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", self.reference)
        if self.is_plain:
            return name
        try:
            described = json.dumps(self.plain(), sort_keys=True, default=repr)
        except ConfigurationError:
            described = self.key
        return f"{name}-{hashlib.sha256(described.encode()).hexdigest()[:8]}"

    def read_secrets(self) -> dict[str, str]:
        """Return the texts of the secrets by name, read from their sources on this machine.

        Raises:
            ConfigurationError: a source has none; names image, secret and source.
        """
        try:
            return {name: secret.read(f"secret {name!r}") for name, secret in self.secrets.items()}
        except ConfigurationError as error:
            raise ConfigurationError(f"Image {self.name!r}: {error}") from error

    def differences(self, other: Image) -> list[str]:
        """Return the names of the options in which two images differ."""
        return [name for name in FIELDS if getattr(self, name) != getattr(other, name)]

    def _given(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in FIELDS if getattr(self, name) != DEFAULTS[name]}

    if not TYPE_CHECKING:  # checkers know that a slot without a setter cannot be set

        def __setattr__(self, name: str, value: object) -> None:
            raise ConfigurationError(f"An Image is a value: use image.replace({name}=...) in place of the assignment.")

        def __delattr__(self, name: str) -> None:
            raise ConfigurationError("An Image is a value, of which nothing can be deleted.")

    def __bool__(self) -> bool:
        return bool(self.reference)

    def __str__(self) -> str:
        return self.reference

    def __repr__(self) -> str:
        given = self._given()
        words = [repr(given.pop("reference"))] if given else []
        words += [f"{name}={_shown(each)!r}" for name, each in given.items()]
        return f"Image({', '.join(words)})"

    def __eq__(self, other: object) -> bool:
        """Return whether *other* is an equal image, or the text that stands for it."""
        if isinstance(other, Image):
            return self.key == other.key
        return self.key == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __deepcopy__(self, memo: object) -> Image:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_of, ({name: _shown(each) for name, each in self._given().items()},)


_CHANGE_RESULTS = ("environment", "mounts", "user", "working_dir", "entrypoint", "extras")

if TYPE_CHECKING:
    ImageLike = Union[str, Image, Mapping[str, Any]]
    """What may be written wherever an image is wanted."""


def _made_of(options: dict[str, Any]) -> Image:
    return Image(**options)


def _digest_of(values: Mapping[str, Any]) -> str:
    """Return a digest of *values*, those of secrets included; salted, so that it tells nothing of them."""
    described = repr([(name, _compared(value)) for name, value in values.items()])
    return hashlib.sha256(_SALT + described.encode()).hexdigest()[:16]


def _compared(value: Any) -> Any:  # noqa: ANN401 - any field
    """Return what tells *value* from others, with the texts and functions that its representation leaves out."""
    if isinstance(value, Secret):
        return (value.env, value.file, value.value, value.call, value.delivery)
    if isinstance(value, Credentials):
        return (value.user, _compared(value.password))
    if isinstance(value, Mapping):
        return sorted(((str(name), _compared(each)) for name, each in value.items()), key=repr)
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return [_compared(each) for each in value]
    return value


def _plain(name: str, value: Any) -> Any:  # noqa: ANN401 - any field
    """Return *value*, of the option *name*, as a configuration file has it."""
    try:
        if isinstance(value, (Mount, Credentials, Secret, ImageRecipe)):
            return value.plain()
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} {error}.") from None
    if isinstance(value, Mapping):
        return {each: _plain(f"{name}.{each}", part) for each, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(name, part) for part in value]
    return value


def _shown(value: Any) -> Any:  # noqa: ANN401 - any field
    return {name: _shown(each) for name, each in value.items()} if isinstance(value, Mapping) else value


NO_IMAGE = Image()
"""The bare node."""
