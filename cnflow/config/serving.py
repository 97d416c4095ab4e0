"""Settings of served models: the configuration of ``cnflow serve``, a run's configuration with models."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from cnflow.config.base import Settings
from cnflow.config.config import AnyExecutor, Config, parse_strategy
from cnflow.config.executors import ExecutorSettings, HighThroughputExecutor
from cnflow.config.files import read_settings
from cnflow.config.http_front import HttpSettings
from cnflow.config.image import IMAGE_DEFAULT, AnyImage
from cnflow.config.quantities import Duration
from cnflow.config.tables import at, misplaced, one_table, refuse_table
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    import os

NAME = r"^[A-Za-z0-9_][A-Za-z0-9._-]*$"

_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class VersionConfig(Settings):
    """One version of a model: its code, the image or executor in which it runs, and its part of the calls."""

    version: str = Field(default="", pattern=r"^([A-Za-z0-9_][A-Za-z0-9._-]*)?$")
    """Name of the version, unique within its model; empty is the first 12 digits of its image's digest, or ``1``
    without an image."""

    image: AnyImage = IMAGE_DEFAULT
    """Image that has the model. Empty takes that of its app, or of `executor`."""

    executor: str = ""
    """Label of the executor whose workers run it. Empty takes the executor of `image`, which is made if there is none;
    without an image too, the first one in its app's ``executors=``, or else the first of all."""

    module: str = ""
    """Module in the image that has ``predict(list)``."""

    function: str = "predict"
    """Name in `module`: a function, or a class with ``predict``; with dots for an attribute of an object there."""

    app: Any = Field(default=None, exclude=True)
    """App of `model_app` or `predict_app`, in place of `module`. Not part of a configuration file."""

    weight: _Weight = 1.0
    """Share of the model's calls that name no version, of the sum of all weights; 0 gets none of them."""

    shadow: _Share = 0.0
    """Share of the model's calls of which it gets a copy, whose answer nobody gets; 1 is all. It is counted and
    measured, and its errors reach no caller."""

    warm: int = Field(default=1, ge=0)
    """Workers that must have loaded the model before it gets calls of a roll, and before the server is ready. 0 lets
    the first call wait for them, as for a version that is scaled to zero."""

    max_batch: int | None = Field(default=None, ge=1)
    """Rows that one call of ``predict`` gets at the most; None is that of the app, or 64."""

    max_wait: Annotated[Duration, Field(ge=0)] | None = None
    """Seconds that an idle worker waits for more rows; None is that of the app, or 0, which begins at once."""

    latency_target: Annotated[Duration, Field(ge=0)] | None = None
    """Seconds within which a call should be answered, its wait included: batches stay so small, and blocks are added;
    None is that of the app, or 0 for none."""

    accelerators: int | None = Field(default=None, ge=0)
    """Accelerators that each of its workers sees; None is that of the app, or the worker's share."""

    load_timeout: Annotated[Duration, Field(ge=0)] | None = None
    """Seconds that a worker has to load the model; it is killed afterwards, and the version cannot be used. 0 is no
    limit; None is that of the app, or 600."""

    example: list[Any] = Field(default_factory=list)
    """Rows that are predicted once before the version gets calls, such as ``[[0.0, 1.0]]``: the first call of many
    models is slow, and a version that cannot answer them gets no calls. Empty only loads the model."""

    @model_validator(mode="before")
    @classmethod
    def _image_is_that_of_the_app(cls, data: object) -> object:
        if not isinstance(data, Mapping) or data.get("image") or data.get("executor"):
            return data
        image = getattr(data.get("app"), "image", None)
        return {**data, "image": image} if image else data

    @model_validator(mode="after")
    def _has_one_source(self) -> VersionConfig:
        if self.app is not None and self.module:
            raise ValueError(f"has both app= and module={self.module!r}; write one of them")
        if self.app is None and not self.module:
            raise ValueError(
                "names no model: set module= to the name of a module in the image that has predict(list), such as "
                "module='app1'; in Python, app= to an app of model_app or predict_app is another way"
            )
        if self.module.endswith(".py") or not all(
            part.isidentifier() for part in self.module.split(".") if self.module
        ):
            raise ValueError(
                f"module={self.module!r} is no name of a module; write it as in an import, such as 'shop.models'"
            )
        return self


_VERSION_FIELDS = tuple(VersionConfig.model_fields)


class ModelConfig(Settings):
    """One model: its versions, and the limits of its calls.

    A model of one version may have that version's options beside its own, without a list of versions.
    """

    name: str = Field(pattern=NAME)
    """Name in URLs, such as ``digits`` in ``/v1/models/digits:predict``; unique within a server."""

    versions: list[VersionConfig] = Field(min_length=1)
    """Versions that are there from the start; in a file, tables ``[[models.versions]]``."""

    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """Seconds within which a call is answered, from the moment its version is loaded: 504 afterwards. A caller may ask
    for less."""

    stream_timeout: Annotated[Duration, Field(gt=0)] = 600.0
    """Seconds within which a stream ends, its first piece within `timeout`."""

    cold_timeout: Annotated[Duration, Field(gt=0)] = 300.0
    """Seconds that a call waits for a version that no worker has loaded yet, as when it is scaled to zero; afterwards
    the answer is 503, with a Retry-After."""

    max_concurrency: int = Field(default=1024, ge=1)
    """Calls that are with workers or wait for them in batches; further ones wait in the server."""

    max_queue: int = Field(default=4096, ge=0)
    """Calls that wait in the server; beyond them the answer is 429, with a Retry-After."""

    max_per_client: int | None = Field(default=None, ge=1)
    """Calls that one API key has at one time, waiting or not; None is no limit. Beyond it the answer is 429."""

    max_rate_per_client: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Calls that one API key begins in a second, in the long run; None is no limit. Beyond it the answer is 429, with a
    Retry-After. Callers without keys are one client together."""

    max_burst_per_client: int | None = Field(default=None, ge=1)
    """Calls that a key may begin at once after it was silent, where `max_rate_per_client` bounds it; None is those of
    one second."""

    retries: int = Field(default=5, ge=0)
    """Further attempts of a call whose manager, node or interchange was lost; the caller only waits."""

    worker_retries: int = Field(default=1, ge=0)
    """Further attempts of a call that was alone in a worker which died: alone again, so that a row that kills workers
    harms no other call."""

    keep_previous: Annotated[Duration, Field(ge=0)] = 600.0
    """Seconds for which the version before stays loaded after a roll, so that going back takes no time. Afterwards it
    is loaded again before it gets calls."""

    @model_validator(mode="before")
    @classmethod
    def _one_version_may_be_written_short(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        own = {name: data[name] for name in _VERSION_FIELDS if name in data}
        if not own:
            return data
        if "versions" in data:
            raise ValueError(
                f"has versions and, beside them, {', '.join(own)}: write the latter into each version, such as below "
                "[[models.versions]]"
            )
        return {**{name: value for name, value in data.items() if name not in own}, "versions": [own]}

    @field_validator("versions", mode="before")
    @classmethod
    def _versions_are_listed(cls, value: object) -> object:
        return refuse_table(value, "versions", "models.versions")

    @model_validator(mode="after")
    def _versions_differ(self) -> ModelConfig:
        names = [each.version for each in self.versions if each.version]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"model {self.name!r} has several versions of the name {', '.join(map(repr, twice))}")
        unnamed = [(str(each.image), each.executor) for each in self.versions if not each.version]
        if len(set(unnamed)) < len(unnamed):
            raise ValueError(f"model {self.name!r} has several versions in one image: give each a name, version='...'")
        if self.max_burst_per_client is not None and self.max_rate_per_client is None:
            raise ValueError(f"max_burst_per_client of model {self.name!r} needs max_rate_per_client beside it")
        if not any(each.weight for each in self.versions):
            raise ValueError(f"no version of model {self.name!r} has a weight above 0: set weight=1 for one")
        return self


def _model_of(value: object, outer: Collection[str]) -> object:
    """Settings of the table *value*; an error names the model."""
    if not isinstance(value, Mapping):
        return value
    options = dict(value)
    try:
        return ModelConfig(**{str(name): each for name, each in options.items()})
    except ConfigurationError as error:
        own = {*ModelConfig.model_fields, *_VERSION_FIELDS}
        place = "Options of the server stand above the first [[models]]"
        found = ConfigurationError(f"{error}{misplaced(options, own, outer, place)}")
        raise at(f"model {options.get('name', '')!r}", found) from None


class ServeConfig(Config):
    """Settings of a server of models: its models and its HTTP front, beside the options of a run.

    The executors run the models. Where a version names an image that no executor has, the first executor whose provider
    starts containers is the template of one for it, as in a run.
    """

    models: list[ModelConfig] = Field(default_factory=list)
    """Models; in a file, tables ``[[models]]``."""

    http: HttpSettings = Field(default_factory=HttpSettings)
    """The HTTP front; in a file, a table ``[http]``."""

    fronts: int = Field(default=1, ge=1, le=256)
    """Processes that speak HTTP. One is a thread of the server itself; more are processes beside it."""

    executors: list[AnyExecutor] = Field(
        default_factory=lambda: list[ExecutorSettings]([HighThroughputExecutor()]), min_length=1
    )
    """Executors whose workers run the models. The first one without an image whose provider starts containers is the
    template from which an executor is made for each image that has none."""

    strategy: Annotated[
        Literal["none", "simple", "htex_auto_scale"] | Callable[[Any], Any], BeforeValidator(parse_strategy)
    ] = "htex_auto_scale"
    """Rule by which the number of blocks follows the calls, as `Config.strategy`."""

    @field_validator("models", mode="before")
    @classmethod
    def _models_are_listed(cls, value: object) -> object:
        refuse_table(value, "models", "models")
        return [_model_of(each, cls.model_fields) for each in value] if isinstance(value, list) else value

    @field_validator("http", mode="before")
    @classmethod
    def _http_is_one_table(cls, value: object) -> object:
        return one_table(value, "http", "http")

    @model_validator(mode="after")
    def _models_fit(self) -> ServeConfig:
        names = [model.name for model in self.models]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(
                f"two models are called {', '.join(map(repr, twice))}; rename one, or make them versions of one model"
            )
        labels = [executor.label for executor in self.executors]
        for model in self.models:
            for version in model.versions:
                if version.executor and version.executor not in labels:
                    raise ValueError(
                        f"model {model.name!r} runs in executor {version.executor!r}, which is not among the "
                        f"executors: {', '.join(labels)}"
                    )
        return self


def load_serve_config(path: str | os.PathLike[str]) -> ServeConfig:
    """Read the settings of a server of models from a file, as `cnflow.config.load_config` reads a Config.

    Raises:
        ConfigurationError: the file cannot be read, or holds no such settings; the message begins with the path.
        MissingExtraError: its format needs an extra.
    """
    return read_settings(path, ServeConfig)
