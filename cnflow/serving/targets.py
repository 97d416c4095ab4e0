"""Finds what ``cnflow serve TARGET`` and `cnflow.Serve` are to serve, and makes one configuration of it.

============================== =============================================================================
Target                         Models
============================== =============================================================================
``serve.toml`` (.py, .json)    those of the `ServeConfig` in the file
``shop.models:rate``           the app ``rate`` of the module, as model ``rate``
``shop.models:APPS``           each app of the list, or of the dict by its names; a `ServeConfig`; a `ModelConfig`
``--image app1:0.1``           module ``app1`` in the image, as model ``app1``
============================== =============================================================================
"""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.apps.app import App
from cnflow.config.config import Config
from cnflow.config.files import read_settings
from cnflow.config.serving import ModelConfig, ServeConfig, VersionConfig
from cnflow.errors import ConfigurationError
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from types import ModuleType

SUFFIXES = (".py", ".toml", ".json", ".yaml", ".yml")

_NO_NAME = re.compile(r"[^A-Za-z0-9._-]")


class ImageTarget(NamedTuple):
    """A model of an image's module."""

    image: str
    module: str = ""
    """Empty is the last part of the image's name."""

    name: str = ""
    """Of the model; empty is that of the module."""

    version: str = ""


def models_of_image(target: ImageTarget) -> list[ModelConfig]:
    """Return the model of *target*.

    Raises:
        ConfigurationError: its image's name is no name of a module, and none is given.
    """
    stem = target.image.partition("@")[0].rpartition("/")[2].partition(":")[0]
    module = target.module or stem.replace("-", "_").replace(".", "_")
    if not all(part.isidentifier() for part in module.split(".")):
        raise ConfigurationError(
            f"{module!r}, from the name of image {target.image!r}, is no name of a module. Add --module with the "
            "module in the image that has predict(list)."
        )
    name = target.name or (module if target.module else stem)
    version = VersionConfig(image=target.image, module=module, version=target.version)
    return [ModelConfig(name=_NO_NAME.sub("-", name), versions=[version])]


def config_of_target(target: str) -> ServeConfig:
    """Return the configuration that *target* names: a file, or MODULE:NAME.

    Raises:
        ConfigurationError: there is no such file, module or name, or it is nothing to serve.
    """
    if _is_file(target):
        return config_of_file(target)
    module_name, separator, name = target.partition(":")
    if not separator or not name or not module_name:
        raise ConfigurationError(
            f"{target!r} is neither a file of settings ({', '.join(SUFFIXES)}) nor MODULE:NAME, such as "
            "'shop.models:rate' for the app rate in shop/models.py. An image is served by --image."
        )
    return config_of_object(_object_in(_import(module_name), name, target), name)


def _is_file(target: str) -> bool:
    return ":" not in target and (target.endswith(SUFFIXES) or Path(target).exists())


def config_of_file(path: str) -> ServeConfig:
    """Return the `ServeConfig` in the file at *path*; a plain `Config` is one without models.

    Raises:
        ConfigurationError: as `cnflow.config.load_config`.
    """
    try:
        return read_settings(path, ServeConfig)
    except ConfigurationError as error:
        if path.endswith(".py") and "sets no variable" in str(error):
            raise ConfigurationError(f"{error} An app in it is served as {Path(path).stem}:NAME.") from None
        if "is a Config, not a ServeConfig" not in str(error):
            raise
    return _as_serve_config(read_settings(path, Config))


def _as_serve_config(config: Config) -> ServeConfig:
    return ServeConfig(**{name: getattr(config, name) for name in config.model_fields_set})


def config_of_object(found: object, name: str = "") -> ServeConfig:
    """Return the configuration that serves *found*.

    Raises:
        ConfigurationError: *found* is nothing to serve.
    """
    if isinstance(found, ServeConfig):
        return found
    if isinstance(found, Config):
        return _as_serve_config(found)
    return ServeConfig(models=models_of(found, name))


def models_of(found: object, name: str = "") -> list[ModelConfig]:
    """Return the models that *found* is, or holds.

    Raises:
        ConfigurationError: *found* is nothing to serve.
    """
    if isinstance(found, ModelConfig):
        return [found]
    if isinstance(found, App):
        return [ModelConfig(name=_model_name(found, name), versions=[VersionConfig(app=found)])]
    if isinstance(found, Mapping):
        return [model for key, value in found.items() for model in models_of(value, str(key))]
    if isinstance(found, Sequence) and not isinstance(found, (str, bytes)):
        return [model for value in found for model in models_of(value)]
    models = getattr(found, "config", None)
    if isinstance(models, ServeConfig):
        return list(models.models)
    hint = " Decorate it with @model_app." if callable(found) else ""
    raise ConfigurationError(
        f"{name or repr(found)} is a {type(found).__name__}, which cannot be served: an app of model_app or "
        f"predict_app can, a list or dict of such, a ModelConfig or a ServeConfig.{hint}"
    )


def _model_name(app: App[Any, Any], name: str) -> str:
    """Name of the model of *app*: that of the variable which holds it, else its function's."""
    own = str(getattr(app, "__name__", "") or getattr(app.function, "__name__", "model"))
    return _NO_NAME.sub("-", name.rpartition(".")[2] or own.removesuffix(".predict"))


def _import(name: str) -> ModuleType:
    """Import the user's module; the current folder comes first, as with ``python -m``."""
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    if name.endswith(".py"):
        raise ConfigurationError(f"Write {name.removesuffix('.py').replace('/', '.')}: a module's name, not its file.")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise ConfigurationError(
                f"There is no module {name!r} in {here} or on the path of Python. Write MODULE:NAME as in 'from MODULE "
                "import NAME', in the folder where that works."
            ) from error
        raise ConfigurationError(_words_of_import(name, error)) from error
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(_words_of_import(name, error)) from error


def _words_of_import(name: str, error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"Module {name!r} cannot be imported: {type(error).__name__}: {error} ({last.filename}:{last.lineno})."


def _object_in(module: ModuleType, name: str, target: str) -> object:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            known = [each for each, value in vars(module).items() if isinstance(value, (App, ServeConfig, ModelConfig))]
            listed = f" It has {', '.join(known)}." if known else " It has no app of model_app or predict_app."
            raise ConfigurationError(f"{target}: {module.__name__} has no {name!r}.{did_you_mean(name, known)}{listed}")
        found = getattr(found, part)
    return found
