"""Options that are off, on, or on with settings: ``monitoring=True``, ``monitoring=MonitoringHub(...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, Union

from pydantic import BeforeValidator

from cnflow.config.tables import one_table

if TYPE_CHECKING:
    from cnflow.config.base import Settings

_S = TypeVar("_S")
_Switch = Union[_S, bool, str, None]  # noqa: UP007 - mypy takes the other form for no generic


def settings_of(value: _Switch[_S]) -> _S | None:
    """Return the settings of a switch; None while it is off. Users may write True: it is not kept, see `switch`."""
    return None if value is None or isinstance(value, (bool, str)) else value


def switch(settings: type[Settings], option: str) -> BeforeValidator:
    """Take True for the defaults of *settings*, and False for None, as the *option*."""

    def parse(value: object) -> object:
        if value is True:
            return settings()
        return None if value is False else one_table(value, option, option)

    return BeforeValidator(parse)
