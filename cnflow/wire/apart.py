"""Loads what this process has pickled by value once more, as copies that share nothing with the originals.

::

    functions    copies, with copies of the globals that they use
    classes      copies, whatever their ids are: the user may have changed the original since
    apps         `function_apart`: a stand-in that has the app's function; `load_with_ids`: the function, as in a task
"""

from __future__ import annotations

import functools
import io
import pickle
from typing import TYPE_CHECKING, Any, Callable

from cnflow.model import pickle_hooks
from cnflow.wire.code_pickler import CLASS_MAKERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.wire.pipe import Part


def load_apart(body: bytes) -> Any:  # noqa: ANN401 - the user's function
    """Unpickle a function with copies of all that was pickled by value, also of classes of this process."""
    unpickler = _ApartUnpickler(io.BytesIO(body))
    unpickler.replaced = {pickle_hooks.itself: _AppApart}
    return unpickler.load()


def load_with_ids(body: Part, buffers: Sequence[Part], replaced: Mapping[Any, Any]) -> tuple[Any, dict[type, str]]:
    """Unpickle a value as `load_apart` does; return it with the ids that its classes have in the pickle.

    Args:
        body: the pickle.
        buffers: those out of band.
        replaced: functions that the pickle calls, and what to call in their place.
    """
    unpickler = _ApartUnpickler(io.BytesIO(body), buffers=buffers)
    unpickler.replaced = replaced
    return unpickler.load(), unpickler.ids


class _ApartUnpickler(pickle.Unpickler):
    """Makes each class of a pickle anew, whatever its id."""

    replaced: Mapping[Any, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - pickle's own signature
        super().__init__(*args, **kwargs)
        self.ids: dict[type, str] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        found = super().find_class(module, name)
        if module == "cloudpickle.cloudpickle" and name in CLASS_MAKERS:
            return functools.partial(self._make_untracked, found, CLASS_MAKERS[name])
        if found is pickle_hooks.define_class:
            return _set_state
        return self.replaced.get(found, found) if type(found) in _FUNCTIONS else found

    def _make_untracked(self, make: Callable[..., type], position: int, *args: Any) -> type:  # noqa: ANN401 - cloudpickle's
        made = make(*args[:position], None, *args[position + 1 :])
        self.ids[made] = args[position]
        return made


_FUNCTIONS = {type(functools.reduce), type(lambda: None)}


def _set_state(cls: type, state: tuple[Any, Any]) -> None:
    state[0](cls, state[1])


class _AppApart:
    """Stands for an app, for code that looks at functions: it has the name of its type, and its function."""

    def __init__(self, function: Any) -> None:  # noqa: ANN401 - the user's
        self.__wrapped__ = function

    def __call__(self) -> None:
        raise TypeError("the copy of an app is looked at, and not called")


_AppApart.__module__, _AppApart.__qualname__ = "cnflow.apps.app", "App"
