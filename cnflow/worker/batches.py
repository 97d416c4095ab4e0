"""Answers batches of calls of models in a worker, loads models before their first call, and sends pieces of streams.

::

    BATCH ──unpickle each call──> groups of equal variables ──Model.call_batch──> one result record for each task
              └─ cannot be: it fails alone                        │
                                                                  └─ stopped: CANCELLED of each; walltime: UNANSWERED
    LOAD  ──> Model.load ──> LOADED: description, or what was raised
    UNLOAD ──> Model.unload: teardown()
    TASK  ──> a call that streams ──> PARTIAL, PARTIAL, ... ──> VALUE
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
import time
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from cnflow.model.task import NO_OPTIONS, RunOptions
from cnflow.tasks import own_modules
from cnflow.tasks.call import PYTHON, Call, message_of, name_of_type, traceback_text
from cnflow.tasks.models import CallOutcome, Model
from cnflow.tasks.staging.copies import copies, remove_noted
from cnflow.tasks.stopping import Cancelled
from cnflow.wire.batch_records import LoadedRecord, pack_loaded, unpack_batch
from cnflow.wire.pipe import ResultKind, pack
from cnflow.worker.results import load_arguments, pack_error, pack_left, pack_result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.wire.pipe import Part, Record
    from cnflow.worker.interruption import Guard

    CallTask = Callable[[Call], Any]
    Write = Callable[[Sequence[Part]], None]

_ARGUMENTS_ONLY = 2


class _Loaded(NamedTuple):
    task: int
    arguments: tuple[Any, ...]
    options: RunOptions

    @property
    def variables(self) -> Mapping[str, str]:
        return self.options.env

    @property
    def is_plain(self) -> bool:
        """True if the call has no options but variables, its walltime, and whether its result stays here."""
        return self.options._replace(walltime=None, env={}, keep_from=None) == NO_OPTIONS


def answer_batch(record: Record, name: str, model: Any, guard: Guard, call: CallTask) -> list[list[Part]]:  # noqa: ANN401 - a Model
    """Return the records of each task of a BATCH, in their order: of what it leaves on this node, and its result.

    Args:
        record: the BATCH.
        name: of the app.
        model: function of the app, or a callable that returns it.
        guard: delivers stops and the walltime, as one for the whole batch.
        call: runs a call with options.

    Raises:
        SystemExit: the user's code asked to end this process.
    """
    batch = unpack_batch(record)
    outcomes: dict[int, CallOutcome] = {}
    loaded: dict[int, _Loaded] = {}
    started = time.perf_counter()
    reason: Optional[BaseException] = None
    try:
        try:
            guard.start(name, batch.walltime)
            function = model()  # before the arguments, which may be of its modules
            for task, (body, *buffers) in batch.calls:
                try:
                    loaded[task] = _load(task, name, body, buffers)
                except Exception as error:  # noqa: BLE001 - the user's types
                    outcomes[task] = CallOutcome(None, error)
            for group in _groups(loaded.values()):
                outcomes.update(_answer_group(function, name, group, guard, call))
        finally:
            guard.end()
            if copies.undo is not None:
                remove_noted()
    except BaseException as error:  # noqa: BLE001 - a stop, or what loading the model raised
        reason = error
    seconds = time.perf_counter() - started
    stop = guard.take_stop()
    if stop is not None:
        kind = ResultKind.CANCELLED if isinstance(stop, Cancelled) else ResultKind.UNANSWERED
        return [pack(kind, task, seconds, [b"", b""]) for task, _ in batch.calls]
    if isinstance(reason, SystemExit):
        raise reason
    if reason is not None:
        own_modules.explain(reason)
    return [_pack(task, seconds, outcomes.get(task), reason, loaded.get(task)) for task, _ in batch.calls]


def load_model(identity: bytes, function: Callable[[], Any]) -> list[Part]:
    """Return the LOADED record of the model *identity*, which *function* unpickles."""
    started = time.perf_counter()
    error, description = "", b""
    try:
        model = function()
        if isinstance(model, Model):
            model.load()
            description = model.describe().to_json()
    except SystemExit:
        raise
    except BaseException as raised:  # noqa: BLE001 - any that the model raises
        error = traceback_text(raised) or f"{name_of_type(raised)}: {message_of(raised)}"
    return pack_loaded(LoadedRecord(identity, time.perf_counter() - started, error, description))


def unload_model(model: object, others: Sequence[object]) -> None:
    """Tear *model* down, and give its memory back to the system.

    A model of a module has the module's ``setup`` and ``teardown``: while one of *others* is of that module, too, as
    another version may be, it stays.
    """
    if not isinstance(model, Model):
        return
    if not model.module or all(not isinstance(other, Model) or other.module != model.module for other in others):
        model.unload()
    del model
    gc.collect()  # models refer to themselves more often than not
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):  # a libc without it, such as musl, returns memory by itself
            ctypes.CDLL(None).malloc_trim(0)


def send_pieces(task: int, pieces: Iterator[Any], guard: Guard, write: Write) -> None:
    """Send each of *pieces* as a PARTIAL record. A stop comes between two records, never within one."""
    for number, piece in enumerate(pieces):
        parts = pack_result(ResultKind.PARTIAL, task, float(number), piece)
        guard.hold()
        write(parts)
        guard.release()


def _load(task: int, name: str, body: Part, buffers: Sequence[Any]) -> _Loaded:
    loaded = load_arguments(name, body, list(buffers))
    options = RunOptions(*loaded[_ARGUMENTS_ONLY]) if len(loaded) > _ARGUMENTS_ONLY else NO_OPTIONS
    form, rows, *rest = loaded[0]
    return _Loaded(task, (form, rows, rest[0] if rest else None), options)


def _groups(calls: Any) -> list[list[_Loaded]]:  # noqa: ANN401 - an iterable
    """Return *calls* in groups that share their environment variables; one with other options is alone."""
    groups: list[list[_Loaded]] = []
    for call in calls:
        shared = [group for group in groups if group[0].variables == call.variables and group[0].is_plain]
        if call.is_plain and shared:
            shared[0].append(call)
        else:
            groups.append([call])
    return groups


def _answer_group(
    model: Model, name: str, group: list[_Loaded], guard: Guard, call: CallTask
) -> dict[int, CallOutcome]:
    def around(predict: Callable[[], Any]) -> Any:  # noqa: ANN401 - the user's value
        try:
            return predict()
        except BaseException:
            if guard.is_stopped:
                raise Cancelled from None  # no half is tried: the whole batch is stopped
            raise

    calls = [each.arguments for each in group]
    first = group[0].options
    try:
        if first is NO_OPTIONS or (group[0].is_plain and not first.env):
            answers = model.call_batch(calls, around)
        else:
            options = first._replace(keep_from=None, walltime=None)
            answers = call(Call(PYTHON, name, model.call_batch, (calls, around), {}, options))
    except Exception as error:  # variables that cannot be set, a model that cannot be loaded: other groups go on
        if guard.is_stopped:
            raise
        answers = [CallOutcome(None, error)] * len(group)
    return {each.task: answer for each, answer in zip(group, answers)}


def _pack(
    task: int, seconds: float, outcome: Optional[CallOutcome], reason: Optional[BaseException], call: Optional[_Loaded]
) -> list[Part]:
    if outcome is None:
        return pack_error(task, seconds, reason or RuntimeError("The batch ended before this call."))
    if outcome.error is not None:
        own_modules.explain(outcome.error)
        return pack_error(task, seconds, outcome.error)
    result = pack_result(ResultKind.VALUE, task, seconds, outcome.value, call.options.keep_from if call else None)
    return [*pack_left(task), *result]
