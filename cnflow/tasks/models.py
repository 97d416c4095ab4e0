"""A model as it travels to workers: what is imported or constructed there, once, and then answers calls.

::

    predict_app, model_app ──> Model(names, or the user's own class or function) ──pickled──> worker
                                                                                                │ load, once
    task's arguments: (form, rows) or (form, rows, options)                                     v
        one task      ──> Model(form, rows, options) ─────────────────────────────> LoadedModel.predict(rows)
        a batch       ──> Model.call_batch([(form, rows, options), ...]) ──one call for all rows──^
        form | STREAM ──> generator of pieces ────────────────────────────────────> LoadedModel.stream(row)

The function of such an app is a `Model`; pickles have its class by name, and the user's own class or function by value.
"""

from __future__ import annotations

import enum
import json
from typing import TYPE_CHECKING, Any, Callable, Dict, NamedTuple, Optional, Tuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cnflow.tasks.loaded_models import LoadedModel

Options = Optional[Dict[str, Any]]
ModelArguments = Tuple[int, Any, Options]
"""Form, rows and options of one call."""

STREAM = 16
"""Added to the form of a call that wants the pieces of ``stream()``."""


def is_stream(form: object) -> bool:
    """Return True if a call of this form wants pieces."""
    return isinstance(form, int) and form >= STREAM


class RowForm(enum.IntEnum):
    """Form in which rows go to a model, and its results come back."""

    VALUES = 0
    """A list of Python values, pickled: calls of the graph."""

    JSON = 1
    """Bytes of a JSON array, one element for each row."""

    TENSORS = 2
    """A list of `cnflow.tasks.tensors.Tensor`, whose first dimension counts the rows."""

    ROW = 3
    """One Python value, the row itself, and its result alone: calls of ``map`` in the graph."""


class CallOutcome(NamedTuple):
    """End of one call in a batch; `error` is None on success."""

    value: Any
    error: Optional[BaseException] = None


class Description(NamedTuple):
    """What a loaded model takes and returns, as far as its annotations say it."""

    name: str
    methods: Sequence[str] = ("predict",)
    """Those of ``predict``, ``stream``, ``setup`` and ``teardown`` that it has."""

    row: Mapping[str, Any] = {}
    """JSON schema of a row; empty for any value. So are the next three."""

    result: Mapping[str, Any] = {}
    piece: Mapping[str, Any] = {}
    options: Mapping[str, Any] = {}
    """JSON schema of an object of the parameters besides the rows."""

    doc: str = ""
    """Docstring of ``predict``, or of the class or module."""

    inputs: Sequence[Mapping[str, Any]] = ()
    """Tensors as the Open Inference Protocol describes them: ``name``, ``datatype``, ``shape``."""

    outputs: Sequence[Mapping[str, Any]] = ()
    warning: str = ""
    """Why annotations are not used, if they cannot be; empty if they are."""

    def to_json(self) -> bytes:
        """Return an object with all fields."""
        return json.dumps(self._asdict(), default=str).encode()


def parse_description(body: bytes) -> Description:
    """Return the description that `Description.to_json` wrote; unknown fields are ignored, as of a newer worker.

    Raises:
        ValueError: it is something else.
    """
    fields = dict(json.loads(body))
    return Description(**{name: value for name, value in fields.items() if name in Description._fields})


class _Parts(NamedTuple):
    module: str = ""
    """Full name, as in an import; empty where `target` is the model."""

    function: str = "predict"
    """Name in the module, with dots for an attribute of an object there."""

    target: Any = None
    """The user's class, function or object, where there is no `module`."""

    args: tuple[Any, ...] = ()
    """Arguments of the class, as `keywords`; those of a function are passed with each call."""

    keywords: tuple[tuple[str, Any], ...] = ()


class Model(_Parts):
    """A model by its names, or with the user's own class or function. A value: loading it changes nothing of it."""

    __slots__ = ()

    @property
    def __name__(self) -> str:
        """Name for messages and logs."""
        if self.module:
            return f"{self.module}.{self.function}"
        target = self.target
        return str(getattr(target, "__name__", None) or type(target).__name__)

    def __call__(self, form: int, rows: Any, options: Options = None) -> Any:  # noqa: ANN401 - in the form of the call
        """Answer one call in this process: the results of *rows* in their form, or an iterator over pieces.

        Raises:
            InvalidRowsError: the rows are not as the model's annotations have them.
            PredictModuleError: the module or its function is missing, or its result is not as long as the rows.
            Exception: any that the model raises.
        """
        if form >= STREAM:
            return self.stream(form - STREAM, rows, options)
        loaded = self.load()
        if form == RowForm.VALUES:
            return loaded.predict(rows, options)
        ((value, error),) = loaded.answer([(form, rows, options)])
        if error is not None:
            raise error
        return value

    def call_batch(
        self, calls: Sequence[ModelArguments], around: Optional[Callable[[Callable[[], Any]], Any]] = None
    ) -> list[CallOutcome]:
        """Answer *calls* by as few calls of ``predict`` as there can be; each fails for its own rows alone.

        Args:
            calls: any number, also of different forms.
            around: runs a function that calls ``predict`` once, and returns what it returns.

        Raises:
            Exception: any that loading the model raises.
        """
        return self.load().answer(calls, around)

    def stream(self, form: int, rows: Any, options: Options = None) -> Iterator[Any]:  # noqa: ANN401 - in the form of the call
        """Yield the pieces of ``stream(row)`` for the only one of *rows*: bytes of JSON each, if the rows are JSON.

        Raises:
            PredictModuleError: the model has no ``stream``.
            InvalidRowsError: there is more than one row, or it is not as the annotations have it.
        """
        yield from self.load().stream(form, rows, options)

    def load(self) -> LoadedModel:
        """Import or construct the model and call its ``setup()``, unless this process has it already. Thread-safe.

        Raises:
            Exception: any that the import, the constructor or ``setup`` raises; the next call begins again.
        """
        from cnflow.tasks.loaded_models import load

        return load(self)

    def unload(self) -> None:
        """Call the ``teardown()`` of the model if this process has loaded it; its next call loads it again."""
        from cnflow.tasks.loaded_models import unload

        unload(self)

    def describe(self) -> Description:
        """Load the model and describe it."""
        return self.load().describe()
