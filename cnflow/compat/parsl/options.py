"""Base of settings that take Parsl's parameters: renamed ones, ones by position, and ones without effect in cnflow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from cnflow.config.base import Settings
from cnflow.errors import ConfigurationError, NotCoveredError


class TypeCheckError(ConfigurationError, TypeError):
    """A parameter has the wrong type; a TypeError, as in Parsl."""


class ParslSettings(Settings):
    """Mixin for cnflow's settings; its constructor takes the parameters of Parsl's class of the same name."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ()
    """Parameters that scripts pass by position, in the order of Parsl's signature."""

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Parsl's name -> cnflow's name."""

    WITHOUT_EFFECT: ClassVar[Collection[str]] = ()
    """Parameters without effect: they tune parts of Parsl that cnflow does not have."""

    NOT_YET: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Parameter -> values that request nothing; other values are refused, since ignoring them would change results."""

    def __init__(self, *positional: Any, **given: Any) -> None:  # noqa: ANN401 - pydantic validates each
        cls = type(self)
        if len(positional) > len(cls.POSITIONAL):
            raise TypeCheckError(
                f"{cls.__name__} takes at most {len(cls.POSITIONAL)} parameters by position, not {len(positional)}."
            )
        given = {**dict(zip(cls.POSITIONAL, positional, strict=False)), **given}
        try:
            super().__init__(**cls.translate(given))
        except NotCoveredError:
            raise
        except ConfigurationError as error:
            if isinstance(error, TypeError):
                raise
            raise TypeCheckError(str(error)) from None

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - pydantic validates it
        for ours, given in self._rename({name: value}).items():
            super().__setattr__(ours, given)

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate Parsl's parameters to those of this class.

        Raises:
            NotCoveredError: a parameter requests a feature that cnflow does not have.
        """
        return cls._rename(given)

    @classmethod
    def _rename(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in given.items():
            if name in cls.NOT_YET:
                if not any(value is nothing or value == nothing for nothing in cls.NOT_YET[name]):
                    raise NotCoveredError(f"{cls.__name__}({name}={value!r})", "cnflow does not have it yet")
            elif name not in cls.WITHOUT_EFFECT:
                result[cls.RENAMED.get(name, name)] = value
        return result
