"""Settings that take Parsl's parameters: renamed ones, ones by position, and ones that mean nothing here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from cnflow.config.base import Settings
from cnflow.errors import ConfigurationError, NotCoveredError


class TypeCheckError(ConfigurationError, TypeError):
    """A parameter is of the wrong type; a TypeError, as Parsl's is."""


class ParslSettings(Settings):
    """Mixed into settings of cnflow's to make a constructor that takes what Parsl's takes."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ()
    """Parameters in the order of Parsl's signature, as far as scripts give them by position."""

    RENAMED: ClassVar[Mapping[str, str]] = {}
    """Parsl's name -> the name here."""

    NEEDLESS: ClassVar[Collection[str]] = ()
    """Parameters that change nothing here, whatever they say: cnflow does without what they tune."""

    NOT_YET: ClassVar[Mapping[str, tuple[Any, ...]]] = {}
    """Parameter -> the values that ask for nothing; any other is refused, since leaving it out would change results."""

    def __init__(self, *positional: Any, **given: Any) -> None:  # noqa: ANN401 - pydantic validates each
        cls = type(self)
        if len(positional) > len(cls.POSITIONAL):
            raise TypeCheckError(
                f"{cls.__name__} takes at most {len(cls.POSITIONAL)} parameters by position, not {len(positional)}."
            )
        given = {**dict(zip(cls.POSITIONAL, positional, strict=False)), **given}
        try:
            super().__init__(**cls.translated(given))
        except NotCoveredError:
            raise
        except ConfigurationError as error:
            raise TypeCheckError(str(error)) from None

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401 - pydantic validates it
        for ours, given in self._by_our_names({name: value}).items():
            super().__setattr__(ours, given)

    @classmethod
    def translated(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters of Parsl's as this class's own.

        Raises:
            NotCoveredError: one asks for what is not here.
        """
        return cls._by_our_names(given)

    @classmethod
    def _by_our_names(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for name, value in given.items():
            if name in cls.NOT_YET:
                if not any(value is nothing or value == nothing for nothing in cls.NOT_YET[name]):
                    raise NotCoveredError(f"{cls.__name__}({name}={value!r})", "cnflow does not have it yet")
            elif name not in cls.NEEDLESS:
                result[cls.RENAMED.get(name, name)] = value
        return result
