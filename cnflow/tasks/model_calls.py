"""Answers several calls of a model by one call of ``predict``, and finds the ones that make it fail.

::

    calls ──read each──> rows ──groups of one type and equal options──> predict(all its rows) ──split──> results
              └─ invalid: that call fails alone                            └─ raised: again for each half of the calls,
                                                                              until one call fails alone
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional

from cnflow.errors.apps import PredictModuleError
from cnflow.tasks import image_packages
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.model_modules import place
from cnflow.tasks.models import CallOutcome, RowForm
from cnflow.tasks.stopping import Cancelled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.tasks.loaded_models import LoadedModel
    from cnflow.tasks.models import ModelArguments, Options

    Around = Callable[[Callable[[], Any]], Any]

VALUES = int(RowForm.VALUES)
_ENDS = (SystemExit, Cancelled)
"""Exceptions that are the end of the whole batch."""


class _Read(NamedTuple):
    position: int
    form: int
    rows: Any
    options: Options


def answer_calls(model: LoadedModel, calls: Sequence[ModelArguments], around: Optional[Around]) -> list[CallOutcome]:
    """Return the ends of *calls*, in their order; *around* runs each call of ``predict``, as `Model.call_batch` has it.

    Raises:
        SystemExit: the model asked to end this process.
        Cancelled: the batch is stopped.
    """
    outcomes: list[Optional[CallOutcome]] = [None] * len(calls)
    groups: list[tuple[object, Options, list[_Read]]] = []
    for index, (form, rows, options) in enumerate(calls):
        try:
            read = model.reader.read(form, rows)
            if options:
                options = dict(model.reader.read_options(form, options))  # noqa: PLW2901 - as annotated
        except Exception as error:  # noqa: BLE001 - also what a user's validator raises
            outcomes[index] = CallOutcome(None, error)
            continue
        _add(groups, kind_of(read), _Read(index, form, read, options))
    for _, _, members in groups:
        _answer_group(model, members, outcomes, around or _just_call)
    ends = [outcome for outcome in outcomes if outcome is not None]
    assert len(ends) == len(calls)  # else the callers would get the answers of others
    return ends


def kind_of(rows: Any) -> object:  # noqa: ANN401 - the user's values
    """Return a value that is equal for rows that can be joined; one of its own for rows that cannot."""
    if type(rows) in {list, tuple}:
        return list
    if type(rows).__name__ == "ndarray" and rows.ndim:
        return rows.dtype.str, rows.shape[1:]
    return object()


def compare_lengths(name: str, count: int, result: Any) -> None:  # noqa: ANN401 - the user's values
    """Check that *result* has *count* elements.

    Raises:
        PredictModuleError: it has another length, or none.
    """
    if not hasattr(result, "__len__"):
        raise PredictModuleError(
            f"{name} returned a value of type {type(result).__name__}, which has no length, instead of a result for "
            f"each of {count} rows. Use a python_app for a function of another kind."
        )
    if len(result) != count:
        raise PredictModuleError(
            f"{name} returned {len(result)} results for {count} rows, {place()}. It must return one for each row, "
            "in order. Use a python_app for a function of another kind."
        )


def _add(groups: list[tuple[object, Options, list[_Read]]], kind: object, read: _Read) -> None:
    for known, options, members in groups:
        if known == kind and _are_equal(options, read.options):
            members.append(read)
            return
    groups.append((kind, read.options, [read]))


def _are_equal(one: Options, other: Options) -> bool:
    """Return True if *one* and *other* are equal and of the same types: 1, 1.0 and True differ for a model."""
    try:
        return bool((one or None) == (other or None)) and _types(one or None) == _types(other or None)
    except Exception:  # noqa: BLE001 - the user's values; arrays have no truth
        return False


def _types(value: Any) -> object:  # noqa: ANN401 - the user's values
    """Return the types of *value* and of all that it holds, in a form that can be compared."""
    if isinstance(value, dict):
        return type(value), [(type(key), _types(part)) for key, part in sorted(value.items())]
    if isinstance(value, (list, tuple)):
        return type(value), [_types(part) for part in value]
    return type(value)


def _answer_group(
    model: LoadedModel, members: list[_Read], outcomes: list[Optional[CallOutcome]], around: Around
) -> None:
    waiting = [members]
    while waiting:
        part = waiting.pop()
        try:
            results = _predict(model, part, around)
        except _ENDS:
            raise
        except BaseException as error:  # noqa: BLE001 - any that the model raises
            if len(part) == 1:
                outcomes[part[0].position] = CallOutcome(None, error)
                continue
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
            continue
        for read, result in zip(part, results):
            try:
                outcomes[read.position] = CallOutcome(model.reader.write(read.form, result))
            except Exception as error:  # noqa: BLE001 - values that the form cannot hold
                outcomes[read.position] = CallOutcome(None, error)


def _predict(model: LoadedModel, part: list[_Read], around: Around) -> list[Any]:
    """Return the results of each call of *part*, by one call of ``predict``."""
    rows = part[0].rows if len(part) == 1 else _join([read.rows for read in part])
    options = part[0].options or {}
    if not len(rows) and part[0].form != VALUES:
        return [[]] * len(part)  # nothing to predict: such a call warms the model up
    result = around(lambda: call_function(model.function, (rows,), options))
    compare_lengths(model.name, len(rows), result)
    if len(part) == 1:
        return [result]
    results, begin = [], 0
    for read in part:
        end = begin + len(read.rows)
        results.append(_slice(result, begin, end))
        begin = end
    return results


def _join(parts: list[Any]) -> Any:  # noqa: ANN401 - the user's values
    if type(parts[0]) in {list, tuple}:
        return [row for part in parts for row in part]
    return image_packages.numpy().concatenate(parts)


def _slice(result: Any, begin: int, end: int) -> Any:  # noqa: ANN401 - the user's values
    try:
        part = result[begin:end]
        if len(part) == end - begin:
            return part
    except Exception:  # noqa: BLE001, S110 - a user's type that has a length and no slices
        pass
    return [row for index, row in enumerate(result) if begin <= index < end]


def _just_call(predict: Callable[[], Any]) -> Any:  # noqa: ANN401 - the user's value
    return predict()
