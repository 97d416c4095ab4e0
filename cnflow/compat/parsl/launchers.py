"""Parsl's launchers: cnflow's with Parsl's parameters, which scripts also pass by position.

Any callable with the parameters command, tasks_per_node and nodes_per_block is a launcher, too. tasks_per_node is 1: a
manager starts the workers of its node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cnflow.compat.parsl.errors import BadLauncher
from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import launchers

if TYPE_CHECKING:
    from collections.abc import Collection

_DEBUG = ("debug",)
"""Prints of the script in Parsl."""


class SimpleLauncher(ParslSettings, launchers.SimpleLauncher):
    """`cnflow.config.launchers.SimpleLauncher` with Parsl's parameters."""

    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


class SingleNodeLauncher(ParslSettings, launchers.SingleNodeLauncher):
    """`cnflow.config.launchers.SingleNodeLauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "fail_on_any")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("debug", "fail_on_any")


class SrunLauncher(ParslSettings, launchers.SrunLauncher):
    """`cnflow.config.launchers.SrunLauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "overrides")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


class SrunMPILauncher(ParslSettings, launchers.SrunMPILauncher):
    """`cnflow.config.launchers.SrunMPILauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "overrides")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


class AprunLauncher(ParslSettings, launchers.AprunLauncher):
    """`cnflow.config.launchers.AprunLauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "overrides")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


class JsrunLauncher(ParslSettings, launchers.JsrunLauncher):
    """`cnflow.config.launchers.JsrunLauncher` with Parsl's parameters; *overrides* may set cores and GPUs."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "overrides")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG

    def model_post_init(self, _: Any, /) -> None:  # noqa: ANN401 - pydantic's
        """Leave out those of cnflow's options that *overrides* has."""
        for field, options in (("cpus", ("-c", "--cpu_per_rs")), ("gpus", ("-g", "--gpu_per_rs"))):
            if any(word.startswith(options) for word in self.overrides):
                setattr(self, field, "")


class GnuParallelLauncher(ParslSettings, launchers.GnuParallelLauncher):
    """`cnflow.config.launchers.GnuParallelLauncher` with Parsl's parameters."""

    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


class MpiExecLauncher(ParslSettings, launchers.MpiExecLauncher):
    """`cnflow.config.launchers.MpiExecLauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "bind_cmd", "overrides")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


class MpiRunLauncher(ParslSettings, launchers.MpiRunLauncher):
    """`cnflow.config.launchers.MpiRunLauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("debug", "bash_location", "bind_cmd", "overrides")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("debug", "bash_location")


class WrappedLauncher(ParslSettings, launchers.WrappedLauncher):
    """`cnflow.config.launchers.WrappedLauncher` with Parsl's parameters."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("prepend", "debug")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = _DEBUG


def check_launcher(launcher: object) -> object:
    """Return *launcher*; None stands for the default.

    Raises:
        BadLauncher: it cannot be called.
    """
    if launcher is not None and not callable(launcher):
        raise BadLauncher(
            f"launcher={launcher!r} cannot be called. A launcher takes (command, tasks_per_node, nodes_per_block) and "
            "returns a command line."
        )
    return launcher
