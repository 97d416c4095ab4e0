"""The DFK that is loaded: one at a time in a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.errors import AlreadyLoadedError, NoDataFlowKernelError

if TYPE_CHECKING:
    from cnflow.dataflow.dfk import DataFlowKernel

_loaded: DataFlowKernel | None = None


def require(caller: str) -> DataFlowKernel:
    """The loaded DFK.

    Raises:
        NoDataFlowKernelError: nothing is loaded; says that *caller* wanted it.
    """
    if _loaded is None:
        raise NoDataFlowKernelError(f"{caller} needs a loaded configuration. Call cnflow.load(Config(...)) first.")
    return _loaded


def loaded() -> DataFlowKernel | None:
    """The loaded DFK; None when nothing is."""
    return _loaded


def put(dfk: DataFlowKernel) -> None:
    """Make *dfk* the loaded one, until it is cleaned up or forgotten."""
    global _loaded  # noqa: PLW0603 - the one piece of process-wide state, which the public API asks for
    _loaded = dfk


def refuse_second() -> None:
    """Raises AlreadyLoadedError when a DFK is loaded."""
    if _loaded is not None:
        raise AlreadyLoadedError(
            f"A configuration is loaded already (run {_loaded.run_dir}). End it first: use 'with cnflow.load(...):', "
            "or call cnflow.dfk().cleanup().",
        )


def forget(dfk: DataFlowKernel | None = None) -> None:
    """Make nothing the loaded one; with *dfk*, only if that is the loaded one."""
    global _loaded  # noqa: PLW0603 - the one piece of process-wide state, which the public API asks for
    if dfk is None or _loaded is dfk:
        _loaded = None
