"""Makes the key of a call of an app with ``cache=True``: identical calls have one key. No I/O but for files."""

from __future__ import annotations

import inspect
import sys
import weakref
from operator import itemgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple

import cnflow.dataflow.memo.references  # noqa: F401 - registers their ids
from cnflow.dataflow.memo.code import id_of_function, in_one_walk
from cnflow.dataflow.memo.errors import NoIdentityError, advice_for
from cnflow.dataflow.memo.modules import imports_in_driver
from cnflow.dataflow.memo.values import digest, encode
from cnflow.errors import MemoKeyError
from cnflow.text import is_ctrl_c

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from cnflow.model.task import AppFunction, TaskToRun

_SCHEME = ("cnflow memo 1", sys.implementation.cache_tag)
"""First part of every key. The number is raised when keys get another meaning, which drops all checkpoints; the tag is
that of the minor version of Python, with which bytecode changes."""

_signatures: weakref.WeakKeyDictionary[AppFunction, inspect.Signature | None] = weakref.WeakKeyDictionary()


class CodeId(NamedTuple):
    """Id of the code of an app at one moment, or the error that there is none."""

    content: bytes
    error: BaseException | None = None


def id_of_code(
    app: AppFunction,
    ignore: Collection[str] = (),
    *,
    runs_here: bool = False,
    apart: Callable[..., Any] | None = None,
) -> CodeId:
    """Return the id of the code of *app* as it is now, for a key.

    Args:
        app: the app.
        ignore: parameters whose defaults are left out.
        runs_here: the task runs in this process, where modules that its body imports are imported, too.
        apart: copy of the app's function at another moment, whose id is returned instead.
    """
    function = app.original if apart is None else apart
    token = imports_in_driver.set(runs_here)
    try:
        if isinstance(function, FunctionType):
            return CodeId(in_one_walk(lambda: id_of_function(function, ignore)))
        return CodeId(in_one_walk(lambda: encode(function)))
    except BaseException as error:  # one of the user's own types may fail in any way; the task fails with it
        if is_ctrl_c(error):
            raise
        return CodeId(b"", error)
    finally:
        imports_in_driver.reset(token)


def key_of(task: TaskToRun, image_digest: str, ignore: Collection[str] = (), code: CodeId | None = None) -> bytes:
    """Key under which the result of *task* is cached, 32 bytes.

    Two tasks have the same key when they call the same code with equal arguments of equal types, passed by position or
    by name, in the same image. The key is the same in any process and on any day, for one minor version of Python.
    Arguments named ``outputs`` count by path, since their content is yet to be made.

    Args:
        task: a task with results in place of futures.
        image_digest: digest of its image; empty outside containers.
        ignore: parameters or keywords that are left out of the key, with their defaults.
        code: id of the code at the call; None takes it as it is now.

    Raises:
        MemoKeyError: an argument, a closure variable or a default has no identity; the message names it.
    """
    parts = [
        encode((*_SCHEME, int(task.app.kind), image_digest)),
        _of_callable(task, code or id_of_code(task.app, ignore)),
    ]
    for name, value in sorted(_arguments(task), key=itemgetter(0)):
        if name not in ignore:
            parts.append(encode(name) + _identity(task, f"argument {name!r}", value, output_ref=name == "outputs"))
    return digest(b"".join(parts))


def _of_callable(task: TaskToRun, code: CodeId) -> bytes:
    where = "function" if isinstance(task.app.original, FunctionType) else "callable"
    if isinstance(code.error, NoIdentityError):
        raise _error_of(task, code.error.where or where, code.error) from code.error
    if isinstance(code.error, RecursionError):
        raise _too_deep(task, where) from None
    if code.error is not None:
        raise _noted(code.error, task, where)
    return code.content


def _identity(task: TaskToRun, where: str, value: object, *, output_ref: bool = False) -> bytes:
    try:
        return in_one_walk(lambda: encode(value, output_ref=output_ref))
    except NoIdentityError as error:
        raise _error_of(task, where, error) from error
    except RecursionError:
        raise _too_deep(task, where) from None
    except Exception as error:
        _noted(error, task, where)
        raise


def _noted(error: BaseException, task: TaskToRun, where: str) -> BaseException:
    """Return *error*, which is the user's own and keeps its type, with a note on where it came from."""
    if hasattr(error, "add_note"):  # since Python 3.11
        error.add_note(f"It was raised by id_for_memo for the {where} of {task.title}, which has cache=True.")
    return error


def _error_of(task: TaskToRun, where: str, error: NoIdentityError) -> MemoKeyError:
    inside = f" ({error.where})" if error.where and error.where != where else ""
    kind, _, name = where.rpartition(" ")
    leave_out = f" Or leave it out: ignore_for_cache=[{name}]." if kind == "argument" else ""
    return MemoKeyError(
        f"{task.title} has cache=True, but its {where}{inside} is or holds a {error.type_name}, of which no key can be "
        f"made. {advice_for(error.type_name)}{leave_out}"
    )


def _too_deep(task: TaskToRun, where: str) -> MemoKeyError:
    return MemoKeyError(f"{task.title} has cache=True, but its {where} is nested too deeply, or holds itself.")


def _arguments(task: TaskToRun) -> Iterator[tuple[str, Any]]:
    """Yield parameters' names and arguments, defaults included; keywords taken by ``**`` have their own names."""
    signature = _signature(task.app)
    try:
        bound = signature.bind(*task.args, **task.kwargs) if signature else None
    except TypeError:  # the call will fail, with a better message than one from here
        bound = None
    if signature is None or bound is None:
        yield "*", task.args
        yield from task.kwargs.items()
        return
    bound.apply_defaults()
    for name, value in bound.arguments.items():
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            yield from value.items()
        else:
            yield name, value


def _signature(app: AppFunction) -> inspect.Signature | None:
    """Signature of the app's function, cached as long as the app exists; None for a callable that has none."""
    if app not in _signatures:
        try:
            _signatures[app] = inspect.signature(app.original)
        except (TypeError, ValueError):
            _signatures[app] = None
    return _signatures[app]
