"""The decorators as a task sees them where cnflow's driver is not installed: an app is its plain function.

A user's module that makes apps can be imported in every task, also in a container that has the capsule alone.
"""

from __future__ import annotations

import contextlib
from typing import Any, Callable, Optional

Function = Callable[..., Any]

AUTO_LOGNAME = -1
"""As `cnflow.AUTO_LOGNAME`."""


def python_app(function: Optional[Function] = None, *_: Any, **__: Any) -> Any:  # noqa: ANN401 - the function, or a decorator
    """Return *function*, or a decorator that does."""
    return _plain if function is None else _plain(function)


bash_app = join_app = python_app


def predict_app(*, module: str, function: str = "predict", **_: Any) -> Function:  # noqa: ANN401 - options of the app
    """Return the function of the app: it calls *function* of *module* in this process."""
    from cnflow.tasks.direct_models import DirectModel
    from cnflow.tasks.models import Model

    return DirectModel(Model(module, function))  # type: ignore[return-value]  # mypy sees no call in a tuple


def model_app(target: Any = None, **_: Any) -> Any:  # noqa: ANN401 - the user's class or function, or a decorator
    """Return the model of *target*, a class or a function, or a decorator that does; it is called in this process."""
    from cnflow.tasks.direct_models import DirectModel
    from cnflow.tasks.models import Model

    return model_app if target is None else DirectModel(Model(target=target))


def _plain(function: Function) -> Function:
    """Return *function*, which has a method `options` as the app has: a module may use that at its top."""
    if not hasattr(function, "options"):
        with contextlib.suppress(AttributeError, TypeError):  # a user's object may have no room for it
            function.options = lambda **_: function  # type: ignore[attr-defined]
    return function


def stand_in(name: str, error: ModuleNotFoundError) -> Any:  # noqa: ANN401 - a decorator or a constant
    """Return what *name* of cnflow is in a task where the module of that name is not installed.

    Raises:
        ModuleNotFoundError: *name* is for the driver; or *error* itself, where another package is missing.
    """
    if not (error.name or "").startswith("cnflow"):
        raise error
    if name in NAMES:
        return NAMES[name]
    raise driver_only(name, error.name or "") from error


def driver_only(name: str, module: Optional[str] = None) -> ModuleNotFoundError:
    """Error for a use of *name*, which is in *module*, in a task."""
    return ModuleNotFoundError(
        f"{name} belongs to the driver, and this task runs where only cnflow's workers are installed. Use it in the "
        "script, not in a task.",
        name=module,
    )


NAMES = {
    "AUTO_LOGNAME": AUTO_LOGNAME,
    "bash_app": bash_app,
    "join_app": join_app,
    "model_app": model_app,
    "predict_app": predict_app,
    "python_app": python_app,
}
