"""Settings of the executors that run tasks on an engine which is there already: a pool, MPI."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from cnflow.config.executors import LABEL, ExecutorSettings
from cnflow.model.image import Image  # noqa: TC001 - pydantic reads it


class EngineSettings(ExecutorSettings):
    """Options of every executor on a foreign engine."""

    @field_validator("image")
    @classmethod
    def _engines_have_no_image(cls, image: Image) -> Image:
        if image:
            raise ValueError(
                f"{str(image)!r}: the engine's workers run where they were started, and cnflow cannot put them into an "
                "image. Start them in it, or use HighThroughputExecutor(image=..., provider=...)"
            )
        return image


class FuturesExecutor(EngineSettings):
    """Runs tasks in a pool of `concurrent.futures`: the standard library's, or that of any package which has one."""

    backend: ClassVar[str] = "cnflow.executors.engines.pools:make_futures"
    kind: Literal["futures"] = "futures"
    label: str = Field(default="futures", pattern=LABEL)
    pool: Any
    """A `concurrent.futures.Executor`, which the caller shuts down; or a class or function that makes one, which cnflow
    shuts down, and makes anew when it is broken. In a file, ``"module:name"``."""

    arguments: dict[str, Any] = Field(default_factory=dict)
    """Keyword arguments for `pool`, where that makes the pool."""


class MPIPoolExecutor(EngineSettings):
    """Runs tasks in the ranks of an MPI program: of ``mpiexec -n 5 python -m mpi4py.futures script.py``, four."""

    backend: ClassVar[str] = "cnflow.executors.engines.pools:make_mpi"
    extra: ClassVar[str] = "mpi"
    packages: ClassVar[tuple[str, ...]] = ("mpi4py",)
    kind: Literal["mpi_pool"] = "mpi_pool"
    label: str = Field(default="mpi_pool", pattern=LABEL)
    max_workers: int | None = Field(default=None, ge=1)
    """Ranks to spawn, where the script was not started by ``python -m mpi4py.futures``; its workers are that program's
    ranks otherwise."""
