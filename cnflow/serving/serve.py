"""`Serve`: serves models from Python, beside a loaded run or with a run of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from cnflow.assemble import load
from cnflow.config.config import Config
from cnflow.config.http_front import HttpSettings
from cnflow.config.serving import ServeConfig
from cnflow.dataflow import loaded_run
from cnflow.errors import ConfigurationError, MissingExtraError
from cnflow.serving.targets import config_of_file, config_of_object, models_of
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from typing_extensions import Self

    from cnflow.dataflow import DataFlowKernel
    from cnflow.serving.server import ModelServer


class Serve:
    """Serves models over HTTP, from `start`, or ``with``, to `close`.

    ::

        with cnflow.Serve(rate, port=8000) as serve:
            serve.wait()

    Beside a loaded run, the models run in the workers of its executors, and calls of the graph and of clients come to
    the same processes. Without one, a run is loaded, and ends with the server.

    Args:
        models: apps of `model_app` or `predict_app`, dicts of such by the names of the models, or
            `cnflow.config.ModelConfig`.
        config: `cnflow.config.ServeConfig`, or `cnflow.Config` with the executors, or the path of a file with one.
        options: options of `ServeConfig`, such as ``fronts=4``, and of `cnflow.config.HttpSettings`, such as
            ``port=8000``; instead of those in *config*.

    Attributes:
        config: settings that it serves by.

    Raises:
        ConfigurationError: there is no model, or the settings cannot work.
        MissingExtraError: the packages of the extra ``serving`` are not installed.
    """

    def __init__(
        self,
        *models: object,
        config: Config | str | os.PathLike[str] | None = None,
        on_ready: Callable[[], None] = lambda: None,
        **options: Any,  # noqa: ANN401 - those of two settings
    ) -> None:
        self._server_class = _server_class()
        base = ServeConfig() if config is None else _read(config)
        self.config = _with_options(base, [each for one in models for each in models_of(one)], options)
        self._has_executors = "executors" in base.model_fields_set or "executors" in options
        self._on_ready = on_ready
        self._server: ModelServer | None = None
        self._own_run: DataFlowKernel | None = None
        self._ready = threading.Event()
        self._failure: Exception | None = None

    def start(self) -> Self:
        """Begin to serve, and return once requests are accepted; those for models that load wait for them.

        Raises:
            ConfigurationError: the port is taken, or a model cannot work.
        """
        dfk = loaded_run.current()
        if dfk is None:
            dfk = self._own_run = load(self.config)
        elif self._has_executors:
            raise ConfigurationError(
                f"A run is loaded already (run {dfk.run_dir}), and its executors serve: leave executors= out, or start "
                "the server before any run."
            )
        else:
            self.config = self.config.model_copy(update={"executors": dfk.config.executors})
        self._server = self._server_class(self.config, dfk, on_ready=self._take_ready, on_failure=self._take_failure)
        try:
            self._server.start()
        except BaseException:
            self._end_run()
            raise
        return self

    @property
    def url(self) -> str:
        """Address of the server, such as ``http://127.0.0.1:8000``."""
        return self._started().url

    @property
    def port(self) -> int:
        """TCP port of the server, also where any free one was asked for."""
        return self._started().port

    @property
    def is_ready(self) -> bool:
        """True once all models that should be loaded are."""
        return self._started().is_ready

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Return once all models that should be loaded are.

        Raises:
            TimeoutError: they are not after *timeout* seconds; the server goes on.
            ConfigurationError: the server has ended.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        server = self._started()
        while not self._ready.wait(0.05):
            if server.ended.is_set():
                raise self._failure or ConfigurationError("The server has ended before its models were loaded.")
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"not all models are loaded after {timeout:g} s: {_waiting(server.status())}")

    def wait(self) -> None:
        """Return once the server has ended: `close`, ``cnflow serve drain``, or a failure, which is raised.

        Raises:
            ConfigurationError: no front can be started.
        """
        server = self._started()
        while not server.ended.wait(1.0):  # in steps, so that Ctrl-C comes through
            pass
        if self._failure is not None:
            raise self._failure

    def status(self) -> dict[str, Any]:
        """State of the server, its models and their versions, as ``cnflow serve status --json`` prints it."""
        return self._started().status()

    def command(self, do: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 - of JSON's types
        """Do what ``cnflow serve roll``, ``back``, ``weights``, ``shadow`` or ``drain`` does, and return the state."""
        return self._started().command({"do": do, **parts})

    def order_drain(self) -> None:
        """Begin the end: requests that were accepted are answered. Safe in a signal handler."""
        if self._server is not None:
            self._server.order_drain()

    def order_end(self) -> None:
        """End at once: what has no result is answered with 503, and counted in `lost`. Safe in a signal handler."""
        if self._server is not None:
            self._server.order_end()

    @property
    def lost(self) -> dict[str, int]:
        """Requests of each model without a result when `drain_timeout` or `order_end` ended them; they got 503."""
        return {} if self._server is None else dict(self._server.lost)

    def close(self) -> None:
        """Answer what was accepted, and end the server; also the run, if it is the server's own."""
        server = self._server
        try:
            if server is not None:
                server.close()
        finally:
            self._end_run()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> ModelServer:
        if self._server is None:
            raise ConfigurationError("The server is not started: use 'with cnflow.Serve(...) as serve:', or start().")
        return self._server

    def _end_run(self) -> None:
        run, self._own_run = self._own_run, None
        if run is not None:
            run.cleanup()

    def _take_ready(self) -> None:
        self._ready.set()
        self._on_ready()

    def _take_failure(self, error: Exception) -> None:
        self._failure = error


def _server_class() -> type[ModelServer]:
    """Import the server when it is wanted: the name `Serve` is there without its packages, too."""
    with MissingExtraError.for_import("Serving models over HTTP", "serving"):
        from cnflow.serving.server import ModelServer  # noqa: PLC0415 - see above
    return ModelServer


def _read(config: Config | str | os.PathLike[str]) -> ServeConfig:
    return config_of_object(config) if isinstance(config, Config) else config_of_file(str(config))


def _with_options(base: ServeConfig, models: list[Any], options: Mapping[str, Any]) -> ServeConfig:
    """*base* with more models, and with *options* in place of its own.

    Raises:
        ConfigurationError: an option is not known, or they cannot work together.
    """
    of_http = {name: value for name, value in options.items() if name in HttpSettings.model_fields}
    others = {name: value for name, value in options.items() if name not in of_http}
    if unknown := [name for name in others if name not in ServeConfig.model_fields]:
        known = [*ServeConfig.model_fields, *HttpSettings.model_fields]
        raise ConfigurationError(f"Serve has no option {unknown[0]!r}.{did_you_mean(unknown[0], known)}")
    own = {name: getattr(base, name) for name in base.model_fields_set}
    if of_http:
        http = others.pop("http", base.http)
        own["http"] = HttpSettings(**{**{name: getattr(http, name) for name in http.model_fields_set}, **of_http})
    config = ServeConfig(**{**own, "models": [*base.models, *models], **others})
    if not config.models:
        raise ConfigurationError(
            "There is no model to serve. Give apps of model_app or predict_app, or models= in the configuration."
        )
    return config


def _waiting(status: Mapping[str, Any]) -> str:
    """Sentence on the versions that are not ready."""
    parts = [
        f"{model['name']}@{version['version']} is {version['state']}"
        + (f" ({version['reason']})" if version["reason"] else "")
        for model in status["models"]
        for version in model["versions"]
        if version["state"] != "ready"
    ]
    return "; ".join(parts) or "none is waited for"
