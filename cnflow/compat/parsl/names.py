"""Table of Parsl's names and their homes in cnflow: module by module, ``name: "home:attribute"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_OURS = "cnflow.compat.parsl"


def _from(home: str, *names: str, **renamed: str) -> dict[str, str]:
    """Rows for *names*, which are the same in *home*, and for *renamed*: Parsl's name = the one in *home*."""
    return {
        **{name: f"{home}:{name}" for name in names},
        **{parsls: f"{home}:{ours}" for parsls, ours in renamed.items()},
    }


_DECORATORS = _from(f"{_OURS}.apps", "python_app", "bash_app", "join_app", "App")
_EXECUTORS = _from(f"{_OURS}.executors", "HighThroughputExecutor", "ThreadPoolExecutor")
_IPP = _from(f"{_OURS}.executors", "IPyParallelExecutor")
_LAUNCHERS = _from(
    f"{_OURS}.launchers",
    "AprunLauncher",
    "GnuParallelLauncher",
    "JsrunLauncher",
    "MpiExecLauncher",
    "MpiRunLauncher",
    "SimpleLauncher",
    "SingleNodeLauncher",
    "SrunLauncher",
    "SrunMPILauncher",
    "WrappedLauncher",
)
_LOCAL = _from(f"{_OURS}.providers", "LocalProvider")
_CONDOR = _from(f"{_OURS}.batch_providers", "CondorProvider")
_LSF = _from(f"{_OURS}.batch_providers", "LSFProvider")
_COBALT = _from(f"{_OURS}.batch_providers", "CobaltProvider")
_GOOGLE = _from(f"{_OURS}.google_cloud", "GoogleCloudProvider")
_AWS = _from(f"{_OURS}.aws", "AWSProvider")
_KUBERNETES = _from(f"{_OURS}.kubernetes", "KubernetesProvider")
_SCHEDULERS = _from(f"{_OURS}.schedulers", "GridEngineProvider", "PBSProProvider", "SlurmProvider", "TorqueProvider")
_AD_HOC = _from(f"{_OURS}.ad_hoc", "AdHocProvider")
_CONFIG = _from(f"{_OURS}.config", "Config")
_RUNS = _from(f"{_OURS}.runs", "DataFlowKernel")
_LOADER = _from(f"{_OURS}.runs", "DataFlowKernelLoader")
_LOGGERS = _from(f"{_OURS}.logs", "set_file_logger", "set_stream_logger")
_HUB = _from(f"{_OURS}.monitoring", "MonitoringHub")
_RADIO = f"{_OURS}.monitoring"
_FILE = _from("cnflow.model.file", "File")
_DATA_FUTURE = _from("cnflow.dataflow.futures.data_future", "DataFuture")
_APP_FUTURE = _from("cnflow.dataflow.futures.app_future", "AppFuture")
_POOL = _from(f"{_OURS}.pool", "ParslPoolExecutor")
_VERSION = _from(f"{_OURS}.version", "VERSION")
_BAD_FILES = _from("cnflow.errors", "BadStdStreamFile", "MissingOutputs")
_ERRORS = _from(
    "cnflow.errors",
    "ConfigurationError",
    "NoDataFlowKernelError",
    ParslError="CnflowError",
    InternalConsistencyError="CnflowError",
    OptionalModuleMissing="MissingExtraError",
)
_APP_ERRORS = {
    **_BAD_FILES,
    **_from("cnflow.errors", "AppFailure", "AppTimeout", "BashAppNoReturn", "BashExitFailure", "DependencyError"),
    **_from("cnflow.errors", ParslError="CnflowError", AppException="AppFailedError"),
    **_from("cnflow.errors", "AppBadFormatting"),
    **_from(f"{_OURS}.errors", "InvalidAppTypeError", "NotFutureError"),
}
_DATAFLOW_ERRORS = {
    **_from("cnflow.errors", "BadCheckpoint", "ConfigurationError", "DependencyError", "JoinError"),
    **_from("cnflow.errors", DataFlowException="CnflowError"),
    **_from(f"{_OURS}.errors", "DuplicateTaskError", "MissingFutError"),
}
_EXECUTOR_ERRORS = {
    **_from("cnflow.errors", ExecutorError="CnflowError", BadMessage="CnflowError", BadStateException="BlockError"),
    **_from("cnflow.errors", ScalingFailed="BlockError", DeserializationError="SerializationError"),
    **_from(f"{_OURS}.errors", "InvalidResourceSpecification", "UnsupportedFeatureError"),
    **_from(f"{_OURS}.errors", "ControllerError", "InsufficientMPIRanks"),
}
_HTEX_ERRORS = _from("cnflow.errors", "ManagerLost", "WorkerLost", VersionMismatch="PythonMismatchError")
_PROVIDER_ERRORS = {
    **_from("cnflow.errors", ExecutionProviderException="BlockError", ScaleOutFailed="BlockError"),
    **_from("cnflow.errors", ScriptPathError="BlockError", SubmitException="BlockError"),
    **_from(f"{_OURS}.errors", "ChannelRequired", "OptionalModuleMissing", "SchedulerMissingArgs"),
}
_CHANNEL_ERRORS = {
    **_from(f"{_OURS}.errors", "AuthException", "BadHostKeyException", "BadPermsScriptPath", "BadScriptPath"),
    **_from(f"{_OURS}.errors", "ChannelError", "FileCopyException", "FileExists", "SSHException"),
}
_LOCAL_CHANNEL = _from(f"{_OURS}.channels", "LocalChannel")
_CHANNELS = {
    **_LOCAL_CHANNEL,
    **_from(f"{_OURS}.channels", "OAuthSSHChannel", "SSHChannel", "SSHInteractiveLoginChannel"),
}
_STATES = _from(f"{_OURS}.states", "FINAL_FAILURE_STATES", "FINAL_STATES", "States")
_MEMO = {**_from(f"{_OURS}.memo", "BasicMemoizer", "Memoizer"), **_from("cnflow.dataflow.memo", "id_for_memo")}
_NOOP = _from("cnflow.staging", "NoOpFileStaging")
_HTTP = _from("cnflow.staging", "HTTPInTaskStaging", "HTTPSeparateTaskStaging")
_FTP = _from("cnflow.staging", "FTPInTaskStaging", "FTPSeparateTaskStaging")
_ZIP = {**_from("cnflow.staging", "ZipFileStaging"), **_from("cnflow.staging.zip", "zip_path_split")}
_STAGING = _from("cnflow.interfaces", "Staging")
_UTILS = _from(
    "cnflow.compat.parsl.utils",
    "RepresentationMixin",
    "execute_wait",
    "get_all_checkpoints",
    "get_last_checkpoint",
    "sanitize_dns_label_rfc1123",
    "sanitize_dns_subdomain_rfc1123",
    "time_limited_open",
    "wait_for_file",
    "wtime_to_minutes",
)
_ADDRESSES = _from(
    "cnflow.addresses",
    "address_by_hostname",
    "address_by_interface",
    "address_by_query",
    "address_by_route",
    "get_all_addresses",
    "get_any_address",
    "tcp_url",
)
_RUN_CALLS = _from("cnflow", "clear", "dfk", "wait_for_current_tasks")

NAMES: Mapping[str, Mapping[str, str]] = {
    "parsl": {
        **_DECORATORS,
        **_CONFIG,
        **_RUNS,
        **_FILE,
        **_LOGGERS,
        **_EXECUTORS,
        **_RUN_CALLS,
        **_HUB,
        **_from(f"{_OURS}.runs", "load"),
        **_from("cnflow", "AUTO_LOGNAME"),
        **_from(f"{_OURS}.version", __version__="VERSION"),
    },
    "parsl.addresses": _ADDRESSES,
    "parsl.app": {},
    "parsl.app.app": {**_DECORATORS, **_from(f"{_OURS}.apps", "AppBase")},
    "parsl.app.bash": _from(f"{_OURS}.apps", "BashApp"),
    "parsl.app.errors": _APP_ERRORS,
    "parsl.app.futures": _DATA_FUTURE,
    "parsl.app.python": _from(f"{_OURS}.apps", "PythonApp"),
    "libsubmit": {},
    "libsubmit.channels": _CHANNELS,
    "libsubmit.launchers": _LAUNCHERS,
    "libsubmit.providers": {
        **_AWS,
        **_GOOGLE,
        **_LOCAL,
        **_SCHEDULERS,
        **_from(f"{_OURS}.providers", Local="LocalProvider"),
    },
    "libsubmit.providers.local": {},
    "libsubmit.providers.local.local": {**_LOCAL, **_from(f"{_OURS}.providers", Local="LocalProvider")},
    "parsl.channels": _CHANNELS,
    "parsl.channels.errors": _CHANNEL_ERRORS,
    "parsl.channels.local": {},
    "parsl.channels.local.local": _LOCAL_CHANNEL,
    "parsl.channels.oauth_ssh": {},
    "parsl.channels.oauth_ssh.oauth_ssh": _from(f"{_OURS}.channels", "OAuthSSHChannel"),
    "parsl.channels.ssh": {},
    "parsl.channels.ssh.ssh": _from(f"{_OURS}.channels", "SSHChannel"),
    "parsl.channels.ssh_il": {},
    "parsl.channels.ssh_il.ssh_il": _from(f"{_OURS}.channels", "SSHInteractiveLoginChannel"),
    "parsl.concurrent": _POOL,
    "parsl.config": _CONFIG,
    "parsl.configs": {},
    "parsl.configs.htex_local": _from(f"{_OURS}.configs", config="htex_local"),
    "parsl.configs.kubernetes": _from(f"{_OURS}.configs", config="kubernetes"),
    "parsl.configs.local_threads": _from(f"{_OURS}.configs", config="local_threads"),
    "parsl.data_provider": {},
    "parsl.data_provider.data_manager": {**_from(f"{_OURS}.staging", "default_staging"), **_NOOP, **_STAGING},
    "parsl.data_provider.file_noop": _NOOP,
    "parsl.data_provider.files": _FILE,
    "parsl.data_provider.ftp": _FTP,
    "parsl.data_provider.globus": _from("cnflow.staging", "GlobusStaging"),
    "parsl.data_provider.http": _HTTP,
    "parsl.data_provider.rsync": _from("cnflow.staging", "RSyncStaging"),
    "parsl.data_provider.staging": _STAGING,
    "parsl.data_provider.zip": {**_ZIP, **_from("cnflow.errors", "ZipAuthorityError")},
    "parsl.dataflow": {},
    "parsl.dataflow.dependency_resolvers": _from(
        f"{_OURS}.config", "DEEP_DEPENDENCY_RESOLVER", "SHALLOW_DEPENDENCY_RESOLVER"
    ),
    "parsl.dataflow.dflow": {**_RUNS, **_LOADER},
    "parsl.dataflow.error": _DATAFLOW_ERRORS,
    "parsl.dataflow.errors": _DATAFLOW_ERRORS,
    "parsl.dataflow.futures": _APP_FUTURE,
    "parsl.dataflow.memoization": _MEMO,
    "parsl.dataflow.states": _STATES,
    "parsl.dataflow.taskrecord": _from("cnflow.dataflow.task_record", "TaskRecord"),
    "parsl.errors": _ERRORS,
    "parsl.executors": {**_EXECUTORS, **_IPP},
    "parsl.executors.errors": _EXECUTOR_ERRORS,
    "parsl.executors.exceptions": {
        **_from("cnflow.errors", ExecutorException="CnflowError"),
        **_from(f"{_OURS}.errors", "TaskExecException"),
    },
    "parsl.executors.high_throughput": {},
    "parsl.executors.high_throughput.errors": _HTEX_ERRORS,
    "parsl.executors.high_throughput.executor": _from(f"{_OURS}.executors", "HighThroughputExecutor"),
    "parsl.executors.high_throughput.manager_selector": _from(f"{_OURS}.executors", "RandomManagerSelector"),
    "parsl.executors.ipp": _IPP,
    "parsl.executors.status_handling": _from(f"{_OURS}.executors", BlockProviderExecutor="HighThroughputExecutor"),
    "parsl.executors.threads": _from(f"{_OURS}.executors", "ThreadPoolExecutor"),
    "parsl.launchers": _LAUNCHERS,
    "parsl.launchers.error": _from(f"{_OURS}.errors", "BadLauncher"),
    "parsl.launchers.errors": _from(f"{_OURS}.errors", "BadLauncher"),
    "parsl.launchers.launchers": _LAUNCHERS,
    "parsl.log_utils": _LOGGERS,
    "parsl.logconfigs": {},
    "parsl.logconfigs.file": _from(f"{_OURS}.logs", FileLogging="ParslFileLogging"),
    "parsl.logconfigs.json": _from(f"{_OURS}.logs", JSONLogging="ParslJSONLogging"),
    "parsl.logconfigs.noop": _from("cnflow.logs", "NoopLogging"),
    "parsl.monitoring": _HUB,
    "parsl.monitoring.monitoring": _HUB,
    "parsl.monitoring.queries": {},
    "parsl.monitoring.queries.pandas": _from(
        f"{_OURS}.queries",
        "app_counts_for_workflow",
        "completion_times_for_workflow",
        "nodes_for_workflow",
        "resources_for_task",
        "resources_for_workflow",
        "status_for_workflow",
        "tasks_for_workflow",
        "tries_for_workflow",
    ),
    "parsl.monitoring.radios": {},
    "parsl.monitoring.radios.base": _from(_RADIO, "RadioConfig"),
    "parsl.monitoring.radios.filesystem": _from(_RADIO, "FilesystemRadio"),
    "parsl.monitoring.radios.htex": _from(_RADIO, "HTEXRadio"),
    "parsl.monitoring.radios.multiprocessing": _from(_RADIO, "MultiprocessingQueueRadio"),
    "parsl.monitoring.radios.udp": _from(_RADIO, "UDPRadio"),
    "parsl.providers": {
        **_LOCAL,
        **_AD_HOC,
        **_AWS,
        **_GOOGLE,
        **_CONDOR,
        **_LSF,
        **_COBALT,
        **_KUBERNETES,
        **_SCHEDULERS,
    },
    "parsl.providers.ad_hoc": {},
    "parsl.providers.ad_hoc.ad_hoc": _AD_HOC,
    "parsl.providers.aws": {},
    "parsl.providers.aws.aws": _AWS,
    "parsl.providers.cobalt": {},
    "parsl.providers.cobalt.cobalt": _COBALT,
    "parsl.providers.condor": {},
    "parsl.providers.condor.condor": _CONDOR,
    "parsl.providers.error": _PROVIDER_ERRORS,
    "parsl.providers.errors": _PROVIDER_ERRORS,
    "parsl.providers.googlecloud": {},
    "parsl.providers.googlecloud.googlecloud": _GOOGLE,
    "parsl.providers.grid_engine": {},
    "parsl.providers.grid_engine.grid_engine": _from(f"{_OURS}.schedulers", "GridEngineProvider"),
    "parsl.providers.kubernetes": {},
    "parsl.providers.kubernetes.kube": _KUBERNETES,
    "parsl.providers.local": {},
    "parsl.providers.local.local": _LOCAL,
    "parsl.providers.lsf": {},
    "parsl.providers.lsf.lsf": _LSF,
    "parsl.providers.pbspro": {},
    "parsl.providers.pbspro.pbspro": _from(f"{_OURS}.schedulers", "PBSProProvider"),
    "parsl.providers.slurm": {},
    "parsl.providers.slurm.slurm": _from(f"{_OURS}.schedulers", "SlurmProvider"),
    "parsl.providers.torque": {},
    "parsl.providers.torque.torque": _from(f"{_OURS}.schedulers", "TorqueProvider"),
    "parsl.serialize": {},
    "parsl.serialize.errors": _from("cnflow.errors", "SerializationError", DeserializationError="SerializationError"),
    "parsl.tests": {},
    "parsl.tests.configs": {},
    "parsl.tests.configs.htex_local": _from(f"{_OURS}.configs", config="htex_local"),
    "parsl.tests.configs.local_threads": _from(f"{_OURS}.configs", config="local_threads"),
    "parsl.usage_tracking": {},
    "parsl.usage_tracking.levels": _from(f"{_OURS}.config", "DISABLED", "LEVEL_1", "LEVEL_2", "LEVEL_3"),
    "parsl.utils": _UTILS,
    "parsl.version": _VERSION,
}

_NOT_YET = "cnflow does not have it yet"
_INTERNAL = "it is internal to Parsl, and cnflow works differently inside"
_GONE = "Parsl itself has removed it"
_INSIDE = "it is an inside of Parsl that scripts need not touch: use dfk.explain(), dfk.tasks and the futures"
_OPENSTACK = "use cnflow.config.OpenStackProvider, also called JetstreamProvider, with options of its own"
_PROVIDER = "a provider of your own implements cnflow.interfaces.Provider; see the page 'Write a backend'"
_CHANNEL = "a channel of your own implements cnflow.interfaces.Channel"
_SITE = "cnflow.configs has a function per site, such as cnflow.configs.frontera('ACCOUNT')"
_CONTAINER = "use HighThroughputExecutor(image=...), with a provider that starts containers"

_NOT_COVERED: Mapping[str, str] = {
    "libsubmit.channels": _CHANNEL,
    "libsubmit.providers": "the module cnflow.config has all providers of cnflow",
    "libsubmit.providers.JetstreamProvider": _OPENSTACK,
    "parsl.app.app_factory": _INSIDE,
    "parsl.benchmark": "run 'cnflow perf' instead",
    "parsl.channels": _CHANNEL,
    "parsl.configs": _SITE,
    "parsl.curvezmq": _INTERNAL,
    "parsl.data_provider.data_manager.DataManager": "a staging gets it as an argument; see cnflow.interfaces.Staging",
    "parsl.data_provider.scheme": "a staging of your own is a subclass of cnflow.interfaces.Staging",
    "parsl.dataflow.dflow": _INSIDE,
    "parsl.dataflow.flow_control": f"{_GONE}; cnflow reacts to events: set Config(strategy=...) and max_idletime",
    "parsl.dataflow.rundirs": _INTERNAL,
    "parsl.dataflow.strategy": "set Config(strategy=...) to a name, or to a function of your own",
    "parsl.dataflow.usage_tracking": "set Config(usage_tracking=..., usage_address=...)",
    "parsl.executors.base": "an executor of your own implements cnflow.interfaces.Executor",
    "parsl.executors.execute_task": _INTERNAL,
    "parsl.executors.extreme_scale": f"{_GONE}; use HighThroughputExecutor",
    "parsl.executors.ExtremeScaleExecutor": f"{_GONE}; use HighThroughputExecutor",
    "parsl.executors.LowLatencyExecutor": f"{_GONE}; use HighThroughputExecutor",
    "parsl.executors.flux": "cnflow has no executor on Flux; use HighThroughputExecutor",
    "parsl.executors.FluxExecutor": "cnflow has no executor on Flux; use HighThroughputExecutor",
    "parsl.executors.globus_compute": "cnflow has no executor on Globus Compute",
    "parsl.executors.GlobusComputeExecutor": "cnflow has no executor on Globus Compute",
    "parsl.executors.high_throughput": _INTERNAL,
    "parsl.executors.MPIExecutor": _NOT_YET,
    "parsl.executors.ipp_controller": f"cnflow has no controller; {_CONTAINER}",
    "parsl.executors.radical": _GONE,
    "parsl.executors.status_handling": _INTERNAL,
    "parsl.executors.swift_t": _GONE,
    "parsl.executors.taskvine": "cnflow has no executor on TaskVine; use HighThroughputExecutor",
    "parsl.executors.TaskVineExecutor": "cnflow has no executor on TaskVine; use HighThroughputExecutor",
    "parsl.executors.workqueue": "cnflow has no executor on Work Queue; use HighThroughputExecutor",
    "parsl.executors.WorkQueueExecutor": "cnflow has no executor on Work Queue; use HighThroughputExecutor",
    "parsl.WorkQueueExecutor": "cnflow has no executor on Work Queue; use HighThroughputExecutor",
    "parsl.jobs": _INTERNAL,
    "parsl.logconfigs.base": "a log configuration of your own is a subclass of cnflow.logs.LogConfig",
    "parsl.monitoring": f"{_INTERNAL}; the database has Parsl's tables and columns",
    "parsl.monitoring.visualization": "run 'cnflow monitor', also called parsl-visualize",
    "parsl.multiprocessing": _INTERNAL,
    "parsl.process_loggers": _INTERNAL,
    "parsl.providers.base": _PROVIDER,
    "parsl.providers.cluster_provider": _PROVIDER,
    "parsl.providers.provider_base": _PROVIDER,
    "parsl.providers": "the module cnflow.config has all providers of cnflow",
    "parsl.providers.AzureProvider": "use cnflow.config.AzureProvider, with options of its own",
    "parsl.providers.JetstreamProvider": _OPENSTACK,
    "parsl.providers.azure": "use cnflow.config.AzureProvider, with options of its own",
    "parsl.providers.jetstream": _OPENSTACK,
    "parsl.serialize": "cnflow serializes with cloudpickle only",
    "parsl.tests": "those are Parsl's own tests; write a Config of your own",
    "parsl.usage_tracking": _INTERNAL,
}


def why_not_covered(path: str) -> str:
    """Reason why *path*, a dotted name of Parsl, is not covered; empty for a name that Parsl does not have."""
    parts = path.split(".")
    for length in range(len(parts), 1, -1):
        reason = _NOT_COVERED.get(".".join(parts[:length]))
        if reason:
            return reason
    return ""
