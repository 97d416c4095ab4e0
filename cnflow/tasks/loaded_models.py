"""Models of this process: each is loaded once, answers calls, and is torn down when the process ends.

::

    load ──> import, or construct ──> setup() ──> LoadedModel ──predict, stream──> results, pieces
               └── raised: nothing is kept            └──unload, or the end of the process──> teardown()
"""

from __future__ import annotations

import atexit
import functools
import inspect
import sys
import traceback
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Callable, Optional

from cnflow.errors.apps import InvalidRowsError, PredictModuleError
from cnflow.tasks import model_modules
from cnflow.tasks.coroutines import call_function
from cnflow.tasks.model_calls import answer_calls, compare_lengths

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cnflow.tasks.models import CallOutcome, Description, Model, ModelArguments, Options
    from cnflow.tasks.rows import RowReader

_loaded: dict[object, tuple[Any, LoadedModel]] = {}
"""By module and function, or by the id() of the `Model`, which the value keeps alive; in the order of loading."""


class LoadedModel:
    """A model that is ready for calls.

    Attributes:
        name: for messages.
        function: the user's ``predict``.
        pieces: the user's ``stream``; None where there is none.
        teardown: the user's; None where there is none.
        source: class, module or function, whose docstring is the model's.
    """

    def __init__(self, name: str, function: Callable[..., Any], owner: Any, source: Any) -> None:  # noqa: ANN401 - the user's
        self.name = name
        self.function = function
        self.source = source
        self.pieces: Optional[Callable[..., Any]] = _method(owner, "stream")
        self.teardown: Optional[Callable[..., Any]] = _method(owner, "teardown")
        self.has_setup = _method(owner, model_modules.SETUP) is not None

    @functools.cached_property
    def reader(self) -> RowReader:
        """Reads rows as ``predict`` is annotated."""
        from cnflow.tasks.rows import RowReader

        return RowReader(self.name, self.function)

    @functools.cached_property
    def piece_reader(self) -> RowReader:
        """Reads rows as ``stream`` is annotated, which takes one."""
        from cnflow.tasks.rows import RowReader

        return RowReader(self.name, self.pieces, takes_one=True)

    def predict(self, rows: Any, options: Options = None) -> Any:  # noqa: ANN401 - the user's values
        """Return ``predict(rows)``: a result for each row.

        Raises:
            PredictModuleError: *rows* or the result has no length, or another one.
        """
        if not hasattr(rows, "__len__"):
            raise PredictModuleError(f"{self.name} takes a list of rows, not a value of type {type(rows).__name__}.")
        if options:
            self.reader.check_options(options)
        result = call_function(self.function, (rows,), options or {})
        compare_lengths(self.name, len(rows), result)
        return result

    def answer(
        self, calls: Sequence[ModelArguments], around: Optional[Callable[[Callable[[], Any]], Any]] = None
    ) -> list[CallOutcome]:
        """Answer *calls* together; see `Model.call_batch`."""
        return answer_calls(self, calls, around)

    def stream(self, form: int, rows: Any, options: Options) -> Iterator[Any]:  # noqa: ANN401 - in the form of the call
        """Yield the pieces for the one row of *rows*; see `Model.stream`."""
        if self.pieces is None:
            raise PredictModuleError(f"{self.name} has no stream(row), {model_modules.place()}: call predict instead.")
        reader = self.piece_reader
        read = reader.read(form, rows)
        if len(read) != 1:
            message = f"stream takes one row, not {len(read)}"
            raise InvalidRowsError(self.name, [{"loc": [], "msg": message, "type": "too_many_rows"}])
        if options:
            options = dict(reader.read_options(form, options))
        for piece in _iterate(self.name, self.pieces(read[0], **(options or {}))):
            yield reader.write_piece(form, piece)

    def describe(self) -> Description:
        """Return what the annotations say."""
        from cnflow.tasks.model_schemas import describe

        return describe(self)


def load(model: Model) -> LoadedModel:
    """Return *model* as this process has it; load it first if it has not. Thread-safe."""
    if model.module:
        return _load_module(model)
    known = _loaded.get(id(model))
    if known is not None:
        return known[1]
    with model_modules.lock:
        known = _loaded.get(id(model))
        if known is None:
            known = model, _construct(model)
            _keep(id(model), known)
        return known[1]


def unload(model: Model) -> None:
    """Tear *model* down, if it is loaded. Errors of its ``teardown`` are written to stderr: nobody waits for it."""
    key: object = (model.module, model.function) if model.module else id(model)
    with model_modules.lock:
        known = _loaded.pop(key, None)
        if known is None:
            return
        if model.module:
            model_modules.forget(model.module)
            # Its other functions go with it, or its teardown would be called once more for each of them.
            for other in [each for each in _loaded if isinstance(each, tuple) and each[0] == model.module]:
                del _loaded[other]
        if known[1].teardown is not None:
            _tear_down(known[1])


def unload_all() -> None:
    """Tear down all models of this process, the last one first."""
    with model_modules.lock:
        modules = set()
        while _loaded:
            _, (owner, loaded) = _loaded.popitem()
            module = owner if isinstance(owner, str) else ""
            if loaded.teardown is not None and module not in modules:
                _tear_down(loaded)
            if module:
                modules.add(module)
                model_modules.forget(module)


def _keep(key: object, entry: tuple[Any, LoadedModel]) -> None:
    if not _loaded:
        atexit.unregister(unload_all)
        atexit.register(unload_all)
    _loaded[key] = entry


def _load_module(model: Model) -> LoadedModel:
    key = model.module, model.function
    known = _loaded.get(key)
    if known is not None and model_modules.is_ready(model.module):
        return known[1]
    with model_modules.lock:
        module = model_modules.prepare(model.module)
        function = model_modules.find_function(module, model.function)
        parent, _, _ = model.function.rpartition(".")
        owner = model_modules.find(module, parent) if parent else module
        loaded = LoadedModel(f"{model.module}.{model.function}", function, owner, owner)
        if parent:
            loaded.teardown = _method(module, "teardown")  # as its setup, that of the module
        _keep(key, (model.module, loaded))
        return loaded


def _construct(model: Model) -> LoadedModel:
    """Make the user's object and set it up."""
    target, name = model.target, model.__name__
    if inspect.isroutine(target):
        bound = functools.partial(target, **dict(model.keywords)) if model.keywords else target
        return LoadedModel(name, bound, None, target)
    try:
        owner = target(*model.args, **dict(model.keywords)) if isinstance(target, type) else target
        setup = _method(owner, model_modules.SETUP)
        if setup is not None:
            call_function(setup, (), {})
    except Exception as error:
        what = f"Raised while {name} was made and set up, {model_modules.place()}. The next task there begins again."
        model_modules.add_note(error, what)
        raise
    function = _method(owner, model.function) or (owner if callable(owner) else None)
    if function is None:
        raise PredictModuleError(f"{name} has no {model.function}(rows), {model_modules.place()}.")
    return LoadedModel(name, function, owner, type(owner))


def _method(owner: Any, name: str) -> Optional[Callable[..., Any]]:  # noqa: ANN401 - the user's
    found = getattr(owner, name, None)
    return found if callable(found) else None


def _tear_down(loaded: LoadedModel) -> None:
    assert loaded.teardown is not None  # else this is not called
    try:
        call_function(loaded.teardown, (), {})
    except Exception:  # noqa: BLE001 - the user's, at the end of the process
        sys.stderr.write(f"teardown() of {loaded.name} failed:\n{traceback.format_exc()}")


def _iterate(name: str, pieces: Any) -> Iterator[Any]:  # noqa: ANN401 - the user's values
    """Yield from a generator, or from one that is async, in a loop of its own; close it in the end."""
    if isinstance(pieces, AsyncGeneratorType):
        yield from _iterate_async(pieces)
    elif hasattr(pieces, "__iter__") and not isinstance(pieces, (str, bytes)):
        yield from pieces
    else:
        raise PredictModuleError(
            f"stream of {name} returned a value of type {type(pieces).__name__} instead of a generator of pieces."
        )


def _iterate_async(pieces: AsyncGeneratorType[Any, Any]) -> Iterator[Any]:
    import asyncio

    loop = asyncio.new_event_loop()
    try:
        while True:
            try:
                piece = loop.run_until_complete(pieces.__anext__())
            except StopAsyncIteration:
                return
            yield piece
    finally:
        loop.run_until_complete(pieces.aclose())
        loop.close()
