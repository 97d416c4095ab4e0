"""Reads a script up to its run, and explains the cache keys of its apps: `cnflow explain --cache`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnflow.apps import App
from cnflow.cli.script import find_module, find_script, run_as_main
from cnflow.dataflow import loaded_run
from cnflow.dataflow.memo import explain_cache
from cnflow.errors import UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Mapping


class _RunReachedError(SystemExit):
    """The script loads its run, or calls an app: all that is before is read."""


def explain_apps(target: str) -> list[str]:
    """Return a paragraph for each cached app of a script or module.

    Args:
        target: ``script.py``, ``package.module``, or either with ``:app``, for an app that may be not cached.

    Raises:
        ConfigurationError: there is no such script or module.
        UnknownNameError: it has no such app.
        SystemExit: the script ends before it loads a run, by an exception for example.
    """
    place, _, name = target.rpartition(":") if ":" in target else (target, "", "")
    apps = _read(place)
    if name:
        if name not in apps:
            raise UnknownNameError("app", name, sorted(apps))
        return [explain_cache(apps[name])]
    cached = [app for app in apps.values() if app._cnflow.options.cache]  # noqa: SLF001 - an app has no other answer
    return [explain_cache(app) for app in cached] or [f"{place} has no app with cache=True before it loads a run."]


def _read(place: str) -> Mapping[str, App[..., Any]]:
    """Run *place* up to its run, and return the apps in it and in the modules beside it, by name."""
    program = find_script(place, ()) if place.endswith(".py") or Path(place).is_file() else find_module(place, ())
    loaded_run.refuse_runs(_RunReachedError())
    try:
        code = run_as_main(program)
    except _RunReachedError:
        code = 0
    if code:
        raise SystemExit(code)
    folder = str(Path(program.path).resolve().parent)
    apps: dict[str, App[..., Any]] = {}
    for module in list(sys.modules.values()):
        if module.__name__ == "__main__" or str(getattr(module, "__file__", None) or "").startswith(folder):
            found = {name: value for name, value in vars(module).items() if isinstance(value, App)}
            apps = {**found, **apps} if module.__name__ != "__main__" else {**apps, **found}
    return apps
