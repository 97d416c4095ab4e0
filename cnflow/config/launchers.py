"""Settings of the launchers, which start a manager on each node of a block: argument vector in, argument vector out.

A launcher is a value; `wrap` is pure, and its answer is run on the first node of a block, or where a site's jobs start.
What is no single command is a script of `launcher_scripts`, which takes what is variable as arguments.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny

from cnflow.config.base import Settings
from cnflow.config.launcher_scripts import END, MPI, NODE, ON_HOSTS, PARALLEL, copies
from cnflow.config.registry import LAUNCHERS
from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = "cnflow-launch"
"""Name of a script in lists of processes."""


def _words(value: object) -> object:
    """The words of a line, such as ``"-c 4 --mpi=none"``; any other value as it is."""
    return shlex.split(value) if isinstance(value, str) else value


Words = Annotated[list[str], BeforeValidator(_words)]
"""Options of a program: a list, or a line that is split as by a shell."""


class LauncherSettings(Settings):
    """Options of every launcher; the class is its own live half, since `wrap` is pure."""

    is_elsewhere: ClassVar[bool] = True
    """Managers of a block of several nodes may run on other machines than the first one."""

    kind: str

    def managers(self, nodes: int) -> int:
        """Managers that a block of *nodes* nodes has; fewer than nodes where workers on one of them are enough."""
        return nodes

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """Argument vector that runs *argv* once on each of *nodes* nodes of a job, and ends when all have ended.

        Raises:
            ConfigurationError: the launcher cannot start so many.
        """
        raise NotImplementedError

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int) -> str:
        """The same for a line of shell, *tasks_per_node* times on each node, as launchers are called in Parsl."""
        line = shlex.join(self.wrap(["/bin/sh", "-c", command], nodes_per_block))
        return line if tasks_per_node <= 1 else "\n".join([*[f"{line} &"] * tasks_per_node, "wait"])


class SimpleLauncher(LauncherSettings):
    """Runs the command as it is, on the job's first node: one manager for a block of any size.

    With several nodes, tasks reach the others themselves, such as by ``srun`` or ``mpiexec``.
    """

    is_elsewhere: ClassVar[bool] = False
    kind: Literal["simple"] = "simple"

    def managers(self, nodes: int) -> int:  # noqa: ARG002 - part of the seam
        """One."""
        return 1

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:  # noqa: ARG002 - part of the seam
        """The command itself."""
        return list(argv)

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int) -> str:  # noqa: ARG002 - part of the seam
        """The line itself."""
        return command


class SingleNodeLauncher(LauncherSettings):
    """Runs all managers of a block on its first node, side by side; each has the node's cores.

    So a block of several nodes can be tried on one machine. Set `max_workers` to divide its cores.
    """

    is_elsewhere: ClassVar[bool] = False
    kind: Literal["single_node"] = "single_node"

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """A shell that starts as many as there are nodes, and waits for all."""
        if nodes == 1:
            return list(argv)
        return ["/bin/sh", "-c", copies('"$@"'), _NAME, str(nodes), *argv]


class SrunLauncher(LauncherSettings):
    """Starts the command on each node by Slurm's ``srun``."""

    kind: Literal["srun"] = "srun"
    overrides: Words = Field(default_factory=list)
    """Further options of srun, after cnflow's own, which they replace: a list, or one line."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """A step of one process on each node; the end of one of them ends no other."""
        return ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", *_SRUN, *self.overrides, *argv]


# https://slurm.schedmd.com/srun.html (Slurm 25.05). Sites set defaults that end a step with its first process
# (KillOnBadExit, WaitTime), bind a process to one core, or have an MPI take the process for one of its ranks.
_SRUN = (
    "--ntasks-per-node=1",
    "--kill-on-bad-exit=0",
    "--wait=0",
    "--no-kill",
    "--cpu-bind=none",
    "--mpi=none",
    "--export=ALL",
)


class SrunMPILauncher(LauncherSettings):
    """Starts the command on each node by a ``srun`` of its own, so that tasks can start MPI programs by ``srun``."""

    kind: Literal["srun_mpi"] = "srun_mpi"
    overrides: Words = Field(default_factory=list)
    """Further options of each srun, after cnflow's own: a list, or one line. Tasks that call ``srun`` themselves need
    ``--overlap`` there, or in their own calls."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """A shell that starts a step on each node, counted from the first, and waits for all."""
        step = ["srun", "--nodes=1", "--ntasks=1", *_SRUN, *self.overrides]
        start = 'srun --relative="$rank" "$@"'
        return ["/bin/sh", "-c", copies(start), _NAME, str(nodes), *step[1:], *argv]


class AprunLauncher(LauncherSettings):
    """Starts the command on each node by ``aprun`` of Cray's ALPS."""

    kind: Literal["aprun"] = "aprun"
    overrides: Words = Field(default_factory=list)
    """Further options of aprun, after cnflow's own: a list, or one line, such as ``-d 64`` for the cores of a node."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """One process on each node, free to use all its cores."""
        # aprun(1), Cray document S-2529: -cc none binds to no core, -F exclusive gives all of a node, -j 1 takes one
        # hardware thread of each core.
        return [
            "aprun",
            "-n",
            str(nodes),
            "-N",
            "1",
            "-cc",
            "none",
            "-F",
            "exclusive",
            "-j",
            "1",
            *self.overrides,
            *argv,
        ]


class JsrunLauncher(LauncherSettings):
    """Starts the command on each node by ``jsrun`` of IBM's Job Step Manager, as on Summit."""

    kind: Literal["jsrun"] = "jsrun"
    cpus: str = "ALL_CPUS"
    """Cores of each node for the manager; empty leaves the option out."""

    gpus: str = "ALL_GPUS"
    """GPUs of each node for the manager; empty leaves the option out."""

    overrides: Words = Field(default_factory=list)
    """Further options of jsrun, after cnflow's own: a list, or one line."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """One resource set of one process on each node."""
        # https://www.ibm.com/docs/en/spectrum-lsf/10.1.0?topic=SSWRJV_10.1.0/jsm/jsrun.htm
        sets = ["-n", str(nodes), "-r", "1", "-a", "1"]
        given = [word for option, value in (("-c", self.cpus), ("-g", self.gpus)) if value for word in (option, value)]
        return ["jsrun", *sets, *given, "-b", "none", *self.overrides, *argv]


class _HostsLauncher(LauncherSettings):
    """Base of launchers that log in to the hosts of a job."""

    hostfile: str | None = None
    """File with one host a line; variables of the job are no part of it. None takes the list that the scheduler gives:
    ``PBS_NODEFILE``, ``LSB_DJOB_HOSTFILE``, ``COBALT_NODEFILE``, ``PE_HOSTFILE`` or ``SLURM_JOB_NODELIST``. A host that
    is named several times counts once."""

    overrides: Words = Field(default_factory=list)
    """Further options of the program, after cnflow's own: a list, or one line."""

    def _on_hosts(self, start: str, program: str, options: Sequence[str], argv: Sequence[str], nodes: int) -> list[str]:
        script, line = ON_HOSTS + start + END, shlex.join(argv)
        return ["/bin/sh", "-c", script, _NAME, str(nodes), self.hostfile or "", NODE, line, program, *options]


class GnuParallelLauncher(_HostsLauncher):
    """Starts the command on each host of the job by GNU parallel over ssh.

    Nodes must accept ssh without a password from the first one, and share the home folder, or that of the variable
    ``CNFLOW_LAUNCH_DIR``: the variables of the first node, also those that `worker_init` sets, go there to the others.
    """

    kind: Literal["gnu_parallel"] = "gnu_parallel"
    program: str = "parallel"
    """Name or path of GNU parallel."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """A shell that writes what the nodes need, starts GNU parallel and waits for it."""
        return self._on_hosts(PARALLEL, self.program, self.overrides, argv, nodes)


class _MpiLauncher(_HostsLauncher):
    """Base of launchers that are starters of an MPI."""

    program: str
    bind_cmd: str = "--bind-to"
    """Option that is followed by ``none`` so that no process is bound to a core; Cray PALS has ``--cpu-bind``. Empty
    leaves it out."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """A shell that writes what the nodes need, starts the MPI and waits for it."""
        bind = [self.bind_cmd, "none"] if self.bind_cmd else []
        return self._on_hosts(MPI, self.program, [*bind, *self.overrides], argv, nodes)


class MpiExecLauncher(_MpiLauncher):
    """Starts the command on each host of the job by ``mpiexec`` of MPICH, Intel MPI, MVAPICH, Open MPI or Cray PALS.

    The home folder is used as by `GnuParallelLauncher`.
    """

    kind: Literal["mpiexec"] = "mpiexec"
    program: str = "mpiexec"
    """Name or path of the MPI's starter."""


class MpiRunLauncher(_MpiLauncher):
    """Starts the command on each host of the job by ``mpirun``; otherwise as `MpiExecLauncher`."""

    kind: Literal["mpirun"] = "mpirun"
    program: str = "mpirun"
    """Name or path of the MPI's starter."""


class WrappedLauncher(LauncherSettings):
    """Puts words before the command, on the job's first node, such as ``prepend="numactl --interleave=all"``."""

    is_elsewhere: ClassVar[bool] = False
    kind: Literal["wrapped"] = "wrapped"
    prepend: Words
    """The words: a list, or one line. The program that they name must run the other arguments, and end with them."""

    def managers(self, nodes: int) -> int:  # noqa: ARG002 - part of the seam
        """One."""
        return 1

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:  # noqa: ARG002 - part of the seam
        """The command after those words."""
        return [*self.prepend, *argv]


class CallableLauncher(LauncherSettings):
    """A function of the user's own; made where an option for a launcher is given one. Not part of a file."""

    kind: Literal["callable"] = "callable"
    function: Callable[[str, int, int], str] = Field(exclude=True)
    """Called with the command as a line of shell, the number 1 and the number of nodes, by position; returns lines for
    bash that run it once on each node."""

    def wrap(self, argv: Sequence[str], nodes: int) -> list[str]:
        """A shell that runs those lines.

        Raises:
            ConfigurationError: they are no text.
        """
        lines = self(shlex.join(argv), 1, nodes)
        if not isinstance(lines, str):
            raise ConfigurationError(
                f"The launcher {self.function!r} returned {lines!r}. It takes (command, tasks_per_node, "
                "nodes_per_block) and must return a command line."
            )
        return ["bash", "-c", lines]

    def __call__(self, command: str, tasks_per_node: int, nodes_per_block: int) -> str:
        """Call the function."""
        return self.function(command, tasks_per_node, nodes_per_block)


def _parse(value: object) -> object:
    """Settings made from a kind such as ``"srun"``, a function, or a table of a file."""
    if isinstance(value, str):
        return LAUNCHERS.parse({"kind": value})
    if callable(value) and not isinstance(value, LauncherSettings):
        return CallableLauncher(function=value)
    return LAUNCHERS.parse(value)


AnyLauncher = Annotated[SerializeAsAny[LauncherSettings], BeforeValidator(_parse)]
"""Type of an option that is a launcher: settings, a kind, a function, or a table of a file."""
