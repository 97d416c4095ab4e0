"""Where a version of a model runs: its function, and the executor whose workers have it."""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.errors import ConfigurationError
from cnflow.model.batching import BatchLimits
from cnflow.model.task import AppFunction, AppKind
from cnflow.serving.service import VersionStatus
from cnflow.tasks.models import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from concurrent.futures import Future

    from cnflow.config.serving import ServeConfig, VersionConfig
    from cnflow.ids import TaskId
    from cnflow.model.batching import BatchPart
    from cnflow.model.image import Image
    from cnflow.model.status import ExecutorStatus
    from cnflow.model.task import RunOptions
    from cnflow.serving.versions import Version

logger = logging.getLogger(__name__)


class DirectCalls(Protocol):
    """Calls of an executor beside a run's graph; callbacks come by way of `deliver`."""

    deliver: Callable[[list[Any]], None]

    def submit(  # noqa: PLR0913 - parts of a task
        self,
        app: AppFunction,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any] | None = None,
        options: RunOptions = ...,
        batch: BatchPart | None = None,
        *,
        done: Callable[[Any], None],
        piece: Callable[[Any], None] | None = None,
    ) -> TaskId:
        """Call *app*; *done* gets the `Outcome` once, *piece* each piece of a stream before."""

    def collect(self, call_soon: Callable[[Callable[[], None]], object] | None) -> None:
        """Send the calls of one turn of this thread's event loop together; None ends that."""

    def cancel(self, calls: Collection[TaskId]) -> None:
        """Stop *calls*; each is still done."""

    def prepare(self, apps: Collection[AppFunction], on_prepared: Callable[[Any], None]) -> None:
        """Have every worker load *apps*."""

    def forget(self, apps: Collection[AppFunction]) -> None:
        """Have later workers not load *apps*."""

    def ready_workers(self, app: AppFunction) -> int:
        """Number of workers that have loaded *app*."""


class LiveExecutor(Protocol):
    """What a server needs of an executor."""

    label: str
    image: Image
    digest: Future[str]

    @property
    def direct(self) -> DirectCalls:
        """Its calls beside a run's graph."""

    def status(self) -> ExecutorStatus:
        """Blocks, managers and workers at this moment."""


class Place:
    """Function of one version, and the executor that runs it.

    Attributes:
        app: its function.
        executor: that runs it.
        direct: calls of the executor.
        config: the user's settings of the version.
        description: what the loaded model takes and returns; empty until a worker has loaded it.
        error: last failure to load it in a worker; empty for none.
    """

    __slots__ = ("app", "config", "description", "direct", "error", "executor")

    def __init__(self, config: VersionConfig, app: AppFunction, executor: LiveExecutor) -> None:
        self.config = config
        self.app = app
        self.executor = executor
        self.direct = executor.direct
        self.description: Mapping[str, Any] = {}
        self.error = ""

    def digest(self) -> str:
        """Digest of its image, as far as it is known by now; empty if it is not."""
        future = self.executor.digest
        return future.result() if future.done() and not future.cancelled() else ""


def function_of(config: VersionConfig, name: str) -> AppFunction:
    """Make the function that is sent to workers; *name* makes it another than that of any other version.

    Raises:
        ConfigurationError: `VersionConfig.app` is no app of a model.
    """
    source = _app_function(config.app) if config.app is not None else None
    limits = source.batching if source is not None and source.batching is not None else BatchLimits()
    own = {field: value for field in BatchLimits._fields if (value := getattr(config, field)) is not None}
    function: Any = Model(module=config.module, function=config.function) if source is None else source.function
    made = AppFunction(function, AppKind.PYTHON, name)
    made.batching = limits._replace(**own)
    return made


def with_options_of_app(config: VersionConfig) -> VersionConfig:
    """*config* with the image of its app, or else the executor of its app, where it names neither itself.

    Raises:
        ConfigurationError: `VersionConfig.app` is a name that cannot be imported.
    """
    if config.app is None or config.executor:
        return config
    app = _imported(config.app)
    labels = getattr(app, "executors", "all")
    label = labels if isinstance(labels, str) else next(iter(labels), "all")
    image = config.image or getattr(app, "image", None)
    if not image:
        return config if label == "all" else config.model_copy(update={"executor": label})
    if label != "all":
        logger.warning("an app has image %s and executor %r: its image alone decides where it is served", image, label)
    return config if config.image else config.model_copy(update={"image": image})


def _imported(app: object) -> object:
    """*app*, or the app that ``MODULE:NAME`` names."""
    if isinstance(app, str):
        module, _, name = app.partition(":")
        try:
            app = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigurationError(
                f"app={config_text(app)}: {error}. Write 'MODULE:NAME' of an app of model_app or predict_app."
            ) from error
    return app


def _app_function(app: object) -> AppFunction:
    app = _imported(app)
    found = app if isinstance(app, AppFunction) else getattr(app, "app_function", None)
    if not isinstance(found, AppFunction) or not isinstance(found.function, Model):
        raise ConfigurationError(
            f"app={config_text(app)} is no app of a model. Decorate the class or function with @model_app, or use "
            "predict_app(module=...)."
        )
    return found


def config_text(value: object) -> str:
    """Text of *value* for a message."""
    return repr(value)[:200]


def choose_executor(
    config: VersionConfig, serve: ServeConfig, executors: Mapping[str, LiveExecutor]
) -> LiveExecutor | None:
    """Executor of a version: that of its label, else of its image, else the first; None if its image has none.

    Raises:
        ConfigurationError: no executor has that label, or there is none at all.
    """
    if config.executor:
        if config.executor in executors:
            return executors[config.executor]
        raise ConfigurationError(f"no executor is called {config.executor!r}. Known: {', '.join(executors) or 'none'}.")
    if config.image:
        wanted = str(config.image)
        labels = [each.label for each in serve.executors if str(each.image) == wanted]
        of_image = [*(executors[label] for label in labels if label in executors)]
        of_image += [each for each in executors.values() if str(each.image) == wanted]
        return of_image[0] if of_image else None
    if not executors:
        raise ConfigurationError("there is no executor to run the models")
    return next(iter(executors.values()))


def provisional_name(config: VersionConfig, taken: Sequence[str]) -> str:
    """Name of a version until the digest of its image is known."""
    if config.version:
        return config.version
    tag = str(config.image).rpartition("/")[2].partition("@")[0].partition(":")[2] or "1"
    name, number = tag, 1
    while name in taken:
        number += 1
        name = f"{tag}-{number}"
    return name


def status_of(version: Version, workers: int) -> VersionStatus:
    """Return the state of *version*, which *workers* workers have loaded."""
    place: Place = version.source
    return VersionStatus(
        version=version.name,
        weight=version.weight,
        is_shadow=version.shadow > 0,
        state=version.state.value,
        reason=version.reason,
        image=str(place.config.image or place.executor.image),
        digest=version.digest,
        description=place.description,
        workers=workers,
        in_flight=version.in_flight,
        aliases=version.aliases,
    )
