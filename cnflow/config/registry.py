"""Backends by kind, imported on use: one table per seam, which an installed package extends by an entry point.

::

    a table of a file, {"kind": "slurm", ...}         an object of settings, SlurmProvider(...)
                    |                                              |
                 `parse`                                           |
                    |  built in? the tables below                  |
                    |  else: entry points, group cnflow.providers  |
                    v                                              |
          settings class (checked: base class, kind) ---> settings +
                                                            |
                                                       `backend_of`: the class attribute `backend`
                                                            v
                                                       live half, called by the composition root

A built-in backend is one line here; another package's backend is one line in that package's ``pyproject.toml``::

    [project.entry-points."cnflow.providers"]
    pigeons = "cnflow_pigeons.settings:PigeonProvider"

The name of the entry point is the kind; its value is the class that the user writes. Settings name their live half
themselves, by the class attributes `backend` and `extra` (see `cnflow.config.base.Settings`), so that an object works
in Python without any registration. Where a package registers a kind that is built in, the built-in one is used, and
``cnflow doctor`` reports the clash.

Cost: importing cnflow reads no entry points, and a built-in kind never does. Another kind in a file, and a message that
lists the known kinds, read those of the group anew, so that a package is found as soon as it is installed: with 110
installed packages 20 ms the first time in a process and 3 ms after that.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from cnflow.config import entry_points
from cnflow.errors import ConfigurationError, MissingExtraError, UnknownNameError

if TYPE_CHECKING:
    from cnflow.config.base import Settings
    from cnflow.config.channels import ChannelSettings
    from cnflow.config.executors import ExecutorSettings
    from cnflow.config.launchers import LauncherSettings
    from cnflow.config.logging import LogConfig
    from cnflow.config.providers import ProviderSettings
    from cnflow.config.runtimes import RuntimeSettings
    from cnflow.config.sinks import SinkSettings
    from cnflow.interfaces.staging import Staging

T = TypeVar("T")


class Registry(Generic[T]):
    """The backends of one seam.

    Args:
        noun: the seam's name in messages, such as ``provider``.
        group: group of the entry points that extend the registry.
        base: ``module:Class`` that every class of the seam derives from.
        built_in: kind -> ``module:Class`` of what the user writes.
    """

    def __init__(self, noun: str, group: str, base: str, built_in: Mapping[str, str]) -> None:
        self.noun = noun
        self.group = group
        self.built_in = built_in
        self._base = base

    def kinds(self) -> list[str]:
        """Every kind that a file may name, sorted; reads the entry points."""
        return sorted({*self.built_in, *entry_points.in_group(self.group)})

    def find(self, kind: str) -> type[T]:
        """The class that the user writes for *kind*.

        Raises:
            UnknownNameError: no backend has that kind.
            ConfigurationError: an installed package registers one that cannot be used.
        """
        if kind in self.built_in:
            found: type[T] = load(self.built_in[kind], f"The {self.noun} {kind!r}")
            return found
        plugins = entry_points.in_group(self.group)
        if kind not in plugins:
            raise UnknownNameError(self.noun, kind, sorted({*self.built_in, *plugins}))
        loaded = plugins[kind].load()
        base = load(self._base, f"The base class of every {self.noun}")
        if not (isinstance(loaded, type) and issubclass(loaded, base)):
            raise plugins[kind].broken(f"it is no subclass of {self._base.replace(':', '.')}")
        if why := _mismatch(loaded, kind):
            raise plugins[kind].broken(why)
        return cast("type[T]", loaded)

    def plugin(self, kind: str) -> entry_points.Plugin | None:
        """The entry points of installed packages that register *kind*; None for a kind that is built in alone."""
        return entry_points.in_group(self.group).get(kind)

    def clashes(self) -> list[ConfigurationError]:
        """One error for each kind of an installed package that is built into cnflow too, and so is never used."""
        plugins = entry_points.in_group(self.group)
        both = sorted(plugins.keys() & self.built_in.keys())
        return [plugins[kind].broken(f"the kind {kind!r} is built into cnflow") for kind in both]

    def class_and_options(self, table: Mapping[Any, Any]) -> tuple[type[T], dict[str, Any]]:
        """The class that a table such as ``{"kind": "docker", ...}`` asks for, and the table without its kind.

        Raises:
            ConfigurationError: the table has no kind.
            UnknownNameError: as `find`.
        """
        if "kind" not in table:
            raise ConfigurationError(
                f"The {self.noun} {dict(table)!r} has no kind. Add one of: {', '.join(self.kinds())}."
            )
        options = {str(name): value for name, value in table.items()}
        return self.find(str(options.pop("kind"))), options

    def parse(self, value: object) -> object:
        """Settings made from a table such as ``{"kind": "docker", ...}``; any other value as it is.

        Raises:
            ConfigurationError: as `class_and_options`, or an option is wrong.
        """
        if not isinstance(value, Mapping):
            return value
        settings, options = self.class_and_options(value)
        return settings(**options)

    def kind_of(self, cls: type[T]) -> str | None:
        """The kind under which *cls* is registered; None if no table and no installed package names it."""
        for kind, target in self.built_in.items():
            if load(target, f"The {self.noun} {kind!r}") is cls:
                return kind
        package = cls.__module__.partition(".")[0]  # the others need not be imported
        plugins = entry_points.in_group(self.group)
        near = [kind for kind, plugin in plugins.items() if plugin.package == package]
        return next((kind for kind in near if self.find(kind) is cls), None)

    def holds(self, value: object, kind: str) -> bool:
        """Return whether a file that names *kind* gets an object of the class of *value*, or of a base class of it."""
        try:
            return isinstance(value, self.find(kind))
        except UnknownNameError:
            return False


def _mismatch(settings: type, kind: str) -> str:
    """Reason why *settings* cannot be registered as *kind*; empty if it can, as a class without a field `kind`."""
    field = getattr(settings, "model_fields", {}).get("kind")
    if field is None or field.default == kind:
        return ""
    if field.is_required():
        return f"the class has no default kind; its author must add the field kind: Literal[{kind!r}] = {kind!r}"
    return f"the class has the kind {field.default!r}, and the entry point another name"


PROVIDERS: Registry[ProviderSettings] = Registry(
    "provider",
    "cnflow.providers",
    "cnflow.config.providers:ProviderSettings",
    {
        "ad_hoc": "cnflow.config.ad_hoc:AdHocProvider",
        "azure": "cnflow.config.azure:AzureProvider",
        "cobalt": "cnflow.config.cobalt:CobaltProvider",
        "condor": "cnflow.config.condor:CondorProvider",
        "local": "cnflow.config.providers:LocalProvider",
        "lsf": "cnflow.config.lsf:LSFProvider",
        "docker": "cnflow.config.providers:DockerProvider",
        "ec2": "cnflow.config.ec2:EC2Provider",
        "existing_pool": "cnflow.config.existing_pool:ExistingPool",
        "google_cloud": "cnflow.config.google_cloud:GoogleCloudProvider",
        "gridengine": "cnflow.config.gridengine:GridEngineProvider",
        "kubernetes": "cnflow.config.kubernetes:KubernetesProvider",
        "openstack": "cnflow.config.openstack:OpenStackProvider",
        "pbspro": "cnflow.config.pbs:PBSProProvider",
        "several": "cnflow.config.several:SeveralProviders",
        "slurm": "cnflow.config.slurm:SlurmProvider",
        "torque": "cnflow.config.pbs:TorqueProvider",
    },
)

EXECUTORS: Registry[ExecutorSettings] = Registry(
    "executor",
    "cnflow.executors",
    "cnflow.config.executors:ExecutorSettings",
    {
        "threads": "cnflow.config.executors:ThreadPoolExecutor",
        "high_throughput": "cnflow.config.executors:HighThroughputExecutor",
        "futures": "cnflow.config.engine_executors:FuturesExecutor",
        "mpi_pool": "cnflow.config.engine_executors:MPIPoolExecutor",
    },
)

STAGINGS: Registry[Staging] = Registry(
    "staging",
    "cnflow.stagings",
    "cnflow.interfaces.staging:Staging",
    {
        "built_in": "cnflow.staging:BuiltInStaging",
        "docker": "cnflow.staging:ImageFileStaging",
        "file": "cnflow.staging:NoOpFileStaging",
        "fsspec": "cnflow.staging:FsspecStaging",
        "ftp": "cnflow.staging:FTPSeparateTaskStaging",
        "ftp_in_task": "cnflow.staging:FTPInTaskStaging",
        "globus": "cnflow.staging:GlobusStaging",
        "http": "cnflow.staging:HTTPSeparateTaskStaging",
        "http_in_task": "cnflow.staging:HTTPInTaskStaging",
        "rsync": "cnflow.staging:RSyncStaging",
        "zip": "cnflow.staging:ZipFileStaging",
        "zip_in_task": "cnflow.staging:ZipInTaskStaging",
    },
)
"""A staging is its own settings, and its own live half."""

LOGS: Registry[LogConfig] = Registry(
    "log configuration",
    "cnflow.logs",
    "cnflow.config.logging:LogConfig",
    {
        "file": "cnflow.config.logging:FileLogging",
        "json": "cnflow.config.logging:JSONLogging",
        "none": "cnflow.config.logging:NoopLogging",
    },
)
"""A log configuration is its own live half."""

LAUNCHERS: Registry[LauncherSettings] = Registry(
    "launcher",
    "cnflow.launchers",
    "cnflow.config.launchers:LauncherSettings",
    {
        "aprun": "cnflow.config.launchers:AprunLauncher",
        "gnu_parallel": "cnflow.config.launchers:GnuParallelLauncher",
        "jsrun": "cnflow.config.launchers:JsrunLauncher",
        "mpiexec": "cnflow.config.launchers:MpiExecLauncher",
        "mpirun": "cnflow.config.launchers:MpiRunLauncher",
        "simple": "cnflow.config.launchers:SimpleLauncher",
        "single_node": "cnflow.config.launchers:SingleNodeLauncher",
        "srun": "cnflow.config.launchers:SrunLauncher",
        "srun_mpi": "cnflow.config.launchers:SrunMPILauncher",
        "wrapped": "cnflow.config.launchers:WrappedLauncher",
    },
)
"""A launcher is its own settings, and its own live half."""

CHANNELS: Registry[ChannelSettings] = Registry(
    "channel",
    "cnflow.channels",
    "cnflow.config.channels:ChannelSettings",
    {
        "local": "cnflow.config.channels:LocalChannel",
        "ssh": "cnflow.config.channels:SSHChannel",
        "ssh_interactive": "cnflow.config.channels:SSHInteractiveLoginChannel",
        "ssh_oauth": "cnflow.config.channels:OAuthSSHChannel",
    },
)
"""Settings of a `cnflow.interfaces.Channel`."""

RUNTIMES: Registry[RuntimeSettings] = Registry(
    "runtime",
    "cnflow.runtimes",
    "cnflow.config.runtimes:RuntimeSettings",
    {
        "apptainer": "cnflow.runtimes.apptainer:ApptainerRuntime",
        "auto": "cnflow.config.runtimes:AutoRuntime",
        "charliecloud": "cnflow.runtimes.charliecloud:CharliecloudRuntime",
        "docker": "cnflow.runtimes.engines:DockerRuntime",
        "none": "cnflow.config.runtimes:NoRuntime",
        "podman": "cnflow.runtimes.engines:PodmanRuntime",
        "podman_hpc": "cnflow.runtimes.engines:PodmanHPCRuntime",
        "shifter": "cnflow.runtimes.shifter:ShifterRuntime",
        "singularity": "cnflow.runtimes.apptainer:SingularityRuntime",
    },
)
"""A runtime is its own settings, and its own live half."""

SINKS: Registry[SinkSettings] = Registry(
    "sink",
    "cnflow.sinks",
    "cnflow.config.sinks:SinkSettings",
    {
        "json_lines": "cnflow.config.sinks:JsonLinesSink",
        "open_telemetry": "cnflow.config.sinks:OpenTelemetrySink",
    },
)
"""Settings of a `cnflow.interfaces.Sink`."""

ALL: tuple[Registry[Any], ...] = (PROVIDERS, EXECUTORS, STAGINGS, LOGS, LAUNCHERS, CHANNELS, RUNTIMES, SINKS)


def backend_of(settings: Settings, *, needs_packages: bool = True) -> Any:  # noqa: ANN401 - a class or function of any seam; the caller knows its type
    """The live half that the class of *settings* names: what is called to make the live object.

    Args:
        settings: made by the user.
        needs_packages: False for a use that works without the packages of an extra, such as a preview.

    Raises:
        ConfigurationError: the class names none, or one that does not exist.
        MissingExtraError: its packages are not installed.
    """
    cls, kind = type(settings), getattr(settings, "kind", "")
    if not cls.backend:
        raise ConfigurationError(
            f"{cls.__qualname__} (kind {kind!r}) has no live half. Add the class attribute backend = 'module:Class', "
            "or the class itself, to it."
        )
    what = f"{cls.__qualname__} (kind {kind!r})" if kind else cls.__qualname__
    if needs_packages and cls.extra and any(importlib.util.find_spec(name) is None for name in cls.packages):
        raise MissingExtraError(what, cls.extra)
    return load(cls.backend, what, cls.extra) if isinstance(cls.backend, str) else cls.backend


def load(target: str, what: str, extra: str = "") -> Any:  # noqa: ANN401 - whatever the module holds
    """The object that *target* (``module:name``) names; *what* begins the message of an error.

    Raises:
        MissingExtraError: the packages of *extra*, which its module needs, are not installed.
        ConfigurationError: its module does not exist, cannot be imported, or has no such name.
    """
    module, _, name = target.partition(":")
    try:
        imported = importlib.import_module(module)
    except (Exception, SystemExit) as error:  # the import runs any code
        if isinstance(error, ModuleNotFoundError) and extra and str(error.name).partition(".")[0] != "cnflow":
            raise MissingExtraError(what, extra) from error
        raise ConfigurationError(
            f"{what} is implemented by {target!r}, and importing {module!r} fails: {type(error).__name__}: {error}. "
            "Correct the name, such as that of the class attribute backend = 'module:Class', or install what the "
            "module needs."
        ) from error
    try:
        return getattr(imported, name)
    except AttributeError as error:
        raise ConfigurationError(f"{what} is implemented by {target!r}, which does not exist: {error}.") from error
