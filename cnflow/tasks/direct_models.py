"""A model as a task sees it: called in its own process, at once; what an app of a model is inside a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.tasks.models import Model, RowForm

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Parts(NamedTuple):
    model: Model


class DirectModel(_Parts):
    """Answers calls in this process; has the methods of the app."""

    __slots__ = ()

    @property
    def __name__(self) -> str:
        """Name of the model."""
        return self.model.__name__

    @property
    def __wrapped__(self) -> Any:  # noqa: ANN401 - the user's class or function
        """What the app was made of, as of any decorator; `cnflow.tasks.own_modules.function_at` finds it here."""
        if self.model.target is None:
            raise AttributeError("__wrapped__")
        return self.model.target

    def __call__(self, rows: Any, **options: Any) -> Any:  # noqa: ANN401 - the user's values
        """Return a result for each of *rows*."""
        return self.model(int(RowForm.VALUES), rows, options or None)

    def map(self, rows: Iterable[Any], *, chunk: int = 0, **options: Any) -> list[Any]:  # noqa: ANN401 - the same
        """Return the result of each of *rows*, or of each *chunk* of them."""
        listed = list(rows)
        if not chunk:
            return [self.model(int(RowForm.ROW), row, options or None) for row in listed]
        return [self(listed[begin : begin + chunk], **options) for begin in range(0, len(listed), chunk)]

    def stream(self, row: Any, **options: Any) -> Iterator[Any]:  # noqa: ANN401 - the same
        """Yield the pieces of *row*."""
        return self.model.stream(int(RowForm.ROW), row, options or None)

    def bind(self, *args: Any, **keywords: Any) -> DirectModel:  # noqa: ANN401 - the user's values
        """Return the model with these arguments of its class."""
        return DirectModel(self.model._replace(args=args, keywords=tuple(keywords.items())))

    def options(self, **_: Any) -> DirectModel:  # noqa: ANN401 - options of the app
        """Return this one: options are the driver's."""
        return self
