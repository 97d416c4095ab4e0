"""Everything that cnflow raises, one class per reaction of the reader.

CnflowError
├── ConfigurationError            mend the configuration or the call
│   ├── NoDataFlowKernelError     call cnflow.load() first
│   ├── AlreadyLoadedError        end the run that is loaded first
│   ├── UnknownNameError          mend the name; the nearest known one is offered
│   ├── MissingExtraError         install the extra that the message names
│   ├── NotCoveredError           do without the name of another system's that is not here
│   ├── ZipAuthorityError         write zip:/path/to.zip/name, without a host
│   ├── MemoKeyError              tell how the named argument is to be compared
│   ├── BadCheckpoint             name another file, or leave it out
│   └── TaskDoesNotFitError       ask for less, or for blocks with larger nodes
├── PropagatedError               look at the root cause, it is another task
│   ├── DependencyError           a task that this one waits for failed
│   └── JoinError                 a task that this join app returned failed
├── SerializationError            change what is passed or returned
├── AppFailedError                look at the app's own code
│   ├── AppTimeout                it ran longer than its walltime
│   ├── BadStdStreamFile          a file for its output cannot be opened
│   ├── MissingOutputs            it ran, but did not make every file that it promised
│   ├── JoinAppNoFuture           the join app returned something else than futures
│   ├── BashExitFailure           the shell command exited non-zero
│   ├── BashAppNoReturn           the bash app returned no command line
│   └── RemoteError               an exception whose class exists only in the image
├── InfrastructureError           the task may be run again as it is
│   ├── WorkerLost                the worker process died under the task
│   ├── ManagerLost               the node or its manager went silent
│   ├── TaskCutOff                its block was about to end
│   ├── InterchangeLostError      the interchange process died
│   └── ExecutorClosedError       the run ended before the task did
├── StagingError                  look at the file's URL, its server or its archive
├── PythonMismatchError           use an image with the driver's Python, or the reverse
├── BlockError                    look at the provider: it could not start or keep a block
│   ├── ProviderBusyError         transient; nothing was started
│   └── BlockRejectedError        permanent; nothing was started
│       ├── ImageNotFoundError    build, pull or correct the image
│       └── ImageUnusableError    the image lacks what a worker needs
└── CapsuleError                  the capsule for this kind of image could not be made
"""

from cnflow.errors.apps import (
    AppFailedError,
    AppFailure,
    AppTimeout,
    BadStdStreamFile,
    BashAppNoReturn,
    BashExitFailure,
    JoinAppNoFuture,
    MissingOutputs,
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
    CapsuleError,
    ExecutorClosedError,
    ImageNotFoundError,
    ImageUnusableError,
    InfrastructureError,
    InterchangeLostError,
    ManagerLost,
    ProviderBusyError,
    PythonMismatchError,
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
    "AppFailedError",
    "AppFailure",
    "AppTimeout",
    "BadCheckpoint",
    "BadStdStreamFile",
    "BashAppNoReturn",
    "BashExitFailure",
    "BlockError",
    "BlockRejectedError",
    "CapsuleError",
    "CnflowError",
    "ConfigurationError",
    "DependencyError",
    "ExecutorClosedError",
    "ImageNotFoundError",
    "ImageUnusableError",
    "InfrastructureError",
    "InterchangeLostError",
    "JoinAppNoFuture",
    "JoinError",
    "ManagerLost",
    "MemoKeyError",
    "MissingExtraError",
    "MissingOutputs",
    "NoDataFlowKernelError",
    "NotCoveredError",
    "PropagatedError",
    "ProviderBusyError",
    "PythonMismatchError",
    "RemoteError",
    "SerializationError",
    "StagingError",
    "TaskCutOff",
    "TaskDoesNotFitError",
    "UnknownNameError",
    "WorkerLost",
    "ZipAuthorityError",
]
