"""Runs a server of models in the foreground, and asks one that runs.

::

    make ──> Serve ──> run: signals, lines for people ──SIGTERM, Ctrl-C──> drain ──once more──> end at once
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer

from cnflow import logs
from cnflow.config import DockerProvider, ExistingPool, HighThroughputExecutor
from cnflow.config.serving import ServeConfig
from cnflow.control_socket import ask as ask_run
from cnflow.errors import ConfigurationError
from cnflow.serving.admin import CONTROL
from cnflow.serving.places import with_options_of_app
from cnflow.serving.serve import Serve
from cnflow.serving.targets import config_of_file, config_of_target, models_of_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from cnflow.config.serving import ModelConfig
    from cnflow.serving.targets import ImageTarget

_LOOK = 0.1
_INTERRUPTED = 130
"""Exit code of a server that a signal has ended before it served, as that of shells for SIGINT."""
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class PoolTarget(NamedTuple):
    """Pool that runs the models."""

    address: str = ""
    key: Path | None = None


def make(target: str, image: ImageTarget, config: Path | None, pool: PoolTarget, options: Mapping[str, Any]) -> Serve:
    """Make the server that the arguments of the command describe.

    Raises:
        ConfigurationError: they do not fit, or name nothing that can be served.
    """
    if target and image.image:
        raise ConfigurationError("Give a TARGET or --image, not both.")
    if not target and not image.image and config is None:
        raise ConfigurationError(
            "Name what to serve: a file of settings, MODULE:NAME of an app, or --image IMAGE. See 'cnflow serve start "
            "--help'."
        )
    if (image.module or image.name) and not image.image:
        raise ConfigurationError("--module and --name belong to --image.")
    own = config_of_target(target) if target else None
    models: list[ModelConfig] = models_of_image(image) if image.image else list(own.models) if own is not None else []
    base = _base(own, config, pool, needs_containers=bool(image.image))
    return Serve(*[each for each in models if each not in base.models], config=base, **options)


def _base(own: ServeConfig | None, file: Path | None, pool: PoolTarget, *, needs_containers: bool) -> ServeConfig:
    """Configuration with the executors.

    Raises:
        ConfigurationError: there are several sources of executors.
    """
    base = own or ServeConfig()
    if file is not None:
        if "executors" in base.model_fields_set:
            raise ConfigurationError(f"The target has executors of its own: leave --config {file} out.")
        base = config_of_file(str(file))
    has_executors = "executors" in base.model_fields_set
    if pool.address:
        if has_executors:
            raise ConfigurationError(
                "--pool takes the place of the executors that the configuration has: leave one out."
            )
        key = {} if pool.key is None else {"key": str(pool.key)}
        executor = HighThroughputExecutor(label="pool", provider=ExistingPool(pool.address, **key))
    elif pool.key is not None:
        raise ConfigurationError("--pool-key belongs to --pool.")
    elif has_executors or not (needs_containers or _has_images(base)):
        return base
    else:
        executor = HighThroughputExecutor(label="models", provider=DockerProvider())
    own_options = {name: getattr(base, name) for name in base.model_fields_set}
    return ServeConfig(**{**own_options, "executors": [executor]})


def _has_images(config: ServeConfig) -> bool:
    return any(with_options_of_app(version).image for model in config.models for version in model.versions)


def run(serve: Serve, *, verbose: bool) -> None:
    """Serve until the end is ordered.

    Raises:
        ConfigurationError: the server cannot start, or has failed.
    """
    logs.set_stream_logger(level=logging.INFO if verbose else logging.WARNING)
    began = time.monotonic()
    orders = _Orders(serve)
    for number in _SIGNALS:
        signal.signal(number, orders.on_signal)
    try:
        serve.start()
        orders.is_serving = True
        _say(f"{serve.url} serves {_names(serve)}; the run is {serve.status()['run_dir']}")
        threading.Thread(target=_report_ready, args=(serve, began), daemon=True).start()
        serve.wait()
    except KeyboardInterrupt:
        _say("ends at once, before it has begun to serve")
        raise typer.Exit(_INTERRUPTED) from None
    finally:
        orders.is_closing = True
        serve.close()
    if serve.lost:
        _say(f"has ended, and has lost {lost_words(serve.lost)}: answered with 503, for the clients to send again")
        raise typer.Exit(1)
    _say("has ended")


def lost_words(lost: Mapping[str, int]) -> str:
    """Words on requests without a result, by model.

    >>> lost_words({"rent": 1, "digits": 12})
    '13 requests (rent: 1, digits: 12)'
    """
    number = sum(lost.values())
    parts = ", ".join(f"{name}: {count}" for name, count in lost.items())
    return f"{number} request{'' if number == 1 else 's'} ({parts})"


class _Orders:
    """What signals order."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._is_draining = self._is_ending = False
        self.is_serving = self.is_closing = False

    def on_signal(self, number: int, frame: object) -> None:
        del number, frame
        if self.is_closing or self._is_ending:  # an exception here would leave blocks behind
            _say("ends already, and stops its workers")
            return
        if not self.is_serving:
            raise KeyboardInterrupt
        if self._is_draining:
            self._is_ending = True
            _say("ends at once")
            self._serve.order_end()
            return
        self._is_draining = True
        _say("takes no more connections, and answers what it has accepted; once more ends it at once")
        self._serve.order_drain()


def _report_ready(serve: Serve, began: float) -> None:
    try:
        serve.wait_until_ready()
    except ConfigurationError:
        return  # its end is reported by the main thread
    model = serve.config.models[0].name
    _say(f"is ready after {time.monotonic() - began:.1f} s. Try: {example(serve.url, model)}")


def example(url: str, model: str) -> str:
    """Command line that asks *model*."""
    return f"curl -d '{{\"rows\": [...]}}' {url}/v1/models/{model}:predict"


def _names(serve: Serve) -> str:
    return ", ".join(model.name for model in serve.config.models)


def _say(words: str) -> None:
    typer.echo(f"cnflow serve: {words}", err=True)


def ask(place: Path, question: Mapping[str, Any]) -> dict[str, Any]:
    """Ask the newest server in *place*, the folder of a run or of all runs.

    Raises:
        ConfigurationError: none runs there, it is busy, or it refuses, in words.
    """
    refusal: ConfigurationError | None = None
    for folder in _folders(place):
        try:
            ask_run(folder, {"ask": CONTROL, "do": "status"})
        except TimeoutError as error:
            raise _busy(folder) from error
        except OSError:
            continue
        except ConfigurationError as error:
            refusal = error
            continue
        try:
            return ask_run(folder, {"ask": CONTROL, **question})
        except TimeoutError as error:
            raise _busy(folder) from error
    words = f"No server of models runs in {place}. Add --run DIR with the folder of its run, or of all runs."
    raise ConfigurationError(words) from refusal


def _busy(folder: Path) -> ConfigurationError:
    return ConfigurationError(
        f"The server in {folder} has not answered in time: it works at other changes, one after the other. "
        "'cnflow serve status' shows what has come of them; try again then."
    )


def _folders(place: Path) -> Iterator[Path]:
    """*place*, and the runs in it, the newest first."""
    if not place.is_dir():
        return
    yield place
    yield from sorted(
        (each for each in place.iterdir() if each.name.isdigit() and each.is_dir()),
        key=lambda each: int(each.name),
        reverse=True,
    )


def drain(place: Path, seconds: float) -> None:
    """Drain the newest server in *place*, and wait until its process has ended.

    Raises:
        ConfigurationError: none runs there, or it has not ended in time.
    """
    reply = ask(place, {"do": "drain"})
    deadline = time.monotonic() + seconds
    folder = Path(reply["run_dir"])
    while time.monotonic() < deadline:
        try:
            ask_run(folder, {"ask": CONTROL, "do": "status"})
        except TimeoutError:
            continue  # it works at changes
        except (OSError, ConfigurationError):
            return
        time.sleep(_LOOK)
    raise ConfigurationError(f"The server (process {reply['pid']}) has not ended after {seconds:g} s. It goes on.")
