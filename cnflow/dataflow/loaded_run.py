"""The DataFlowKernel that is loaded: at most one in a process.

::

    none loaded ──set_current(dfk)──> dfk loaded ──clear(), or clear(dfk) at the end of its run──> none loaded
                                          └──on_forked(dfk, parent), in a forked child──> none loaded, which errors name
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnflow.dataflow.forks import error_in_child
from cnflow.errors import AlreadyLoadedError, NoDataFlowKernelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.dataflow.dfk import DataFlowKernel

_loaded: DataFlowKernel | None = None
_parent: tuple[int, object] | None = None
"""Process from which this one was forked while a run was loaded there, and the folder of that run."""
_load_first: Callable[[], object] | None = None
_loading = threading.RLock()
_refusal: BaseException | None = None


def require(caller: str) -> DataFlowKernel:
    """Return the loaded DataFlowKernel.

    Raises:
        NoDataFlowKernelError: none is loaded; the message names *caller*.
    """
    if _loaded is None:
        _check_not_refused()
        _load_once()
    if _loaded is None and _parent is not None:
        raise error_in_child(f"{caller} was called", *_parent)
    if _loaded is None:
        raise NoDataFlowKernelError(f"{caller} needs a loaded configuration. Call cnflow.load(Config(...)) first.")
    return _loaded


def refuse_runs(error: BaseException) -> None:
    """Raise *error* where a run is loaded or needed from now on: the script is read, and not to run."""
    global _refusal  # noqa: PLW0603 - as `set_current`
    _refusal = error


def _check_not_refused() -> None:
    if _refusal is not None:
        raise _refusal


def load_if_first(load: Callable[[], object]) -> None:
    """Call *load* at the first call that needs a run, unless the script has loaded one before that."""
    global _load_first  # noqa: PLW0603 - as `set_current`
    _load_first = load


def _load_once() -> None:
    global _load_first
    with _loading:
        load, _load_first = _load_first, None
        if load is not None:
            load()


def current() -> DataFlowKernel | None:
    """Return the loaded DataFlowKernel; None while none is loaded."""
    return _loaded


def set_current(dfk: DataFlowKernel) -> None:
    """Load *dfk*, until `clear` is called."""
    global _loaded, _load_first
    _loaded, _load_first = dfk, None


def on_forked(dfk: DataFlowKernel, parent: int) -> None:
    """Unload *dfk* in a child of process *parent*."""
    global _parent  # noqa: PLW0603 - as above
    if _loaded is dfk:
        clear()
        _parent = (parent, dfk.run_dir)


def check_none_loaded() -> None:
    """Refuse a second run.

    Raises:
        AlreadyLoadedError: a DataFlowKernel is loaded.
    """
    _check_not_refused()
    if _loaded is not None:
        raise AlreadyLoadedError(
            f"A configuration is loaded already (run {_loaded.run_dir}). End it first: use 'with cnflow.load(...):', "
            "or call cnflow.dfk().cleanup(). In a notebook, cnflow.load(..., replace=True) ends it and its tasks.",
        )


def clear(dfk: DataFlowKernel | None = None) -> None:
    """Unload the loaded DataFlowKernel without ending its run; with *dfk*, only if that is the loaded one."""
    global _loaded  # noqa: PLW0603 - the one piece of process-wide state, which the public API asks for
    if dfk is None or _loaded is dfk:
        _loaded = None
