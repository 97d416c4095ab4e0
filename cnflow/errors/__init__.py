"""Exceptions of cnflow: one class per reaction of the user.

CnflowError
├── ConfigurationError            correct the configuration or the call
│   ├── NoDataFlowKernelError     call cnflow.load() first
│   ├── AlreadyLoadedError        end the run that is loaded first
│   ├── UnknownNameError          correct the name; the nearest known one is suggested
│   ├── MissingExtraError         install the extra that the message names
│   ├── NotCoveredError           avoid the name of another system that cnflow does not have
│   ├── ZipAuthorityError         write zip:/path/to.zip/name, without a host
│   ├── MemoKeyError              register how the named argument is compared
│   ├── BadCheckpoint             name another file, or leave it out
│   └── TaskDoesNotFitError       request less, or blocks with larger nodes
├── PropagatedError               look at the root cause, an error of another task
│   ├── DependencyError           a task that this one depends on failed
│   └── JoinError                 a task that this join app returned failed
├── SerializationError            change the arguments or the result
├── AppFailedError                look at the app's own code
│   ├── AppTimeout                it ran longer than its walltime
│   ├── BadStdStreamFile          a file for its output cannot be opened
│   ├── MissingOutputs            it ran, but did not create all of its output files
│   ├── JoinAppNoFuture           the join app returned no futures
│   ├── BashExitFailure           the shell command exited with a code other than 0
│   ├── BashAppNoReturn           the bash app returned no command line
│   ├── MissingShellError         the command needs a shell that is not there
│   ├── PredictModuleError        a predict_app's module is missing, or returned a wrong number of results
│   ├── InvalidRowsError          rows are not as the model's annotations have them
│   ├── AppBadFormatting          its text has more fields than values
│   └── RemoteError               an exception whose class exists only in the image
├── InfrastructureError           run the task again, unchanged
│   ├── WorkerLost                the worker process ended while it ran the task
│   ├── ManagerLost               the manager, or its node, stopped responding
│   ├── TaskCutOff                the task's block was about to end
│   ├── InterchangeLostError      the interchange process died
│   └── ExecutorClosedError       the run ended before the task did
├── StagingError                  look at the file's URL, its server or its archive
│   └── ItemLostError             run the task again that made the content
├── PythonMismatchError           use an image with the driver's Python, or the reverse
├── BlockError                    look at the provider: it could not start or keep a block
│   ├── ChannelError              a machine cannot be reached; its name and the next step are in the message
│   ├── BudgetError               raise the budget in Config(budget=...)
│   ├── ProviderBusyError         temporary; nothing was started
│   │   ├── NoCapacityError       other types or zones may have machines
│   │   └── QuotaError            end other machines, or ask for a higher limit
│   └── BlockRejectedError        permanent; nothing was started
│       ├── ImageNotFoundError    build, pull or correct the image
│       │   └── ImagePullError    look at its registry: it refused, failed, or was not reached
│       ├── ImageLockError        run cnflow lock: the lock file has another image, or none of this name
│       ├── ImageUnusableError    use an image with a supported Python
│       └── ImageBuildError       correct the step of the recipe that failed
└── CapsuleError                  the capsule for this kind of image could not be made
"""

from cnflow.errors.apps import (
    AppBadFormatting,
    AppFailedError,
    AppFailure,
    AppTimeout,
    BadStdStreamFile,
    BashAppNoReturn,
    BashExitFailure,
    InvalidRowsError,
    JoinAppNoFuture,
    MissingOutputs,
    MissingShellError,
    PredictModuleError,
    RemoteError,
    SerializationError,
)
from cnflow.errors.configuration import (
    AlreadyLoadedError,
    BadCheckpoint,
    CnflowError,
    ConfigurationError,
    MemoKeyError,
    MissingExtraError,
    NoDataFlowKernelError,
    NotCoveredError,
    TaskDoesNotFitError,
    UnknownNameError,
    ZipAuthorityError,
)
from cnflow.errors.infrastructure import (
    BlockError,
    BlockRejectedError,
    BudgetError,
    CapsuleError,
    ChannelError,
    ExecutorClosedError,
    ImageBuildError,
    ImageLockError,
    ImageNotFoundError,
    ImagePullError,
    ImageUnusableError,
    InfrastructureError,
    InterchangeLostError,
    ItemLostError,
    ManagerLost,
    NoCapacityError,
    ProviderBusyError,
    PythonMismatchError,
    QuotaError,
    StagingError,
    TaskCutOff,
    WorkerLost,
)
from cnflow.errors.propagated import (
    DependencyError,
    JoinError,
    PropagatedError,
)

__all__ = [
    "AlreadyLoadedError",
    "AppBadFormatting",
    "AppFailedError",
    "AppFailure",
    "AppTimeout",
    "BadCheckpoint",
    "BadStdStreamFile",
    "BashAppNoReturn",
    "BashExitFailure",
    "BlockError",
    "BlockRejectedError",
    "BudgetError",
    "CapsuleError",
    "ChannelError",
    "CnflowError",
    "ConfigurationError",
    "DependencyError",
    "ExecutorClosedError",
    "ImageBuildError",
    "ImageLockError",
    "ImageNotFoundError",
    "ImagePullError",
    "ImageUnusableError",
    "InfrastructureError",
    "InterchangeLostError",
    "InvalidRowsError",
    "ItemLostError",
    "JoinAppNoFuture",
    "JoinError",
    "ManagerLost",
    "MemoKeyError",
    "MissingExtraError",
    "MissingOutputs",
    "MissingShellError",
    "NoCapacityError",
    "NoDataFlowKernelError",
    "NotCoveredError",
    "PredictModuleError",
    "PropagatedError",
    "ProviderBusyError",
    "PythonMismatchError",
    "QuotaError",
    "RemoteError",
    "SerializationError",
    "StagingError",
    "TaskCutOff",
    "TaskDoesNotFitError",
    "UnknownNameError",
    "WorkerLost",
    "ZipAuthorityError",
]
