"""Parts of an `Image` that are more than a text or a number: mounts, secrets, credentials of a registry. No I/O.

::

    "/data:/data:rw", {"kind": "tmpfs", ...} ──Mount.of──────────> Mount
    "env:NAME", "file:PATH", {"call": ...} ────Secret.of─────────> Secret ──read──> its text, when a block is asked for
    {"user": ..., "password": "env:NAME"} ─────Credentials.of────> Credentials

The text of a secret is in no representation of these values, and in no configuration file that cnflow writes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from cnflow.errors import ConfigurationError
from cnflow.text import did_you_mean
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

KINDS_OF_MOUNTS = ("bind", "volume", "tmpfs")
DELIVERIES = ("file", "environment")
SECRETS_FOLDER = "/run/secrets"
"""Folder in the container of the secrets that are files; in memory."""

_SHORT_MOUNT = re.compile(r"(?P<source>.+?):(?P<target>/[^:]*)(?::(?P<mode>ro|rw))?")
_PATH_OF_A_BIND = re.compile(r"[/~.$\\]|[A-Za-z]:")


@dataclass(frozen=True)
class Mount:
    """A folder or file in the container that comes from outside, or a file system in its memory."""

    source: str = ""
    """Path on the engine's machine, or a volume's name; empty for ``tmpfs``. ``~`` and variables are the driver's."""

    target: str = ""
    """Absolute path in the container."""

    kind: str = ""
    """``bind`` (a path), ``volume`` (a name) or ``tmpfs``; empty follows from the source."""

    read_only: Optional[bool] = None
    """None is True, except for ``tmpfs``."""

    size: Union[int, str, None] = None
    """Limit of a ``tmpfs``, in bytes or as ``"1g"``; None leaves it to the engine, which takes half of the memory."""

    def __post_init__(self) -> None:
        kind = self.kind or ("bind" if _PATH_OF_A_BIND.match(self.source) else "volume")
        if kind not in KINDS_OF_MOUNTS:
            near = did_you_mean(kind, KINDS_OF_MOUNTS)
            raise ConfigurationError(f"{self._words}: kind={kind!r} is none of {_listed(KINDS_OF_MOUNTS)}.{near}")
        is_memory = kind == "tmpfs"
        if not self.target.startswith("/"):
            raise ConfigurationError(f"{self._words}: the target must be an absolute path in the container.")
        if bool(self.source) is is_memory:
            wanted = "a tmpfs has no source" if is_memory else "the source is missing"
            raise ConfigurationError(f"{self._words}: {wanted}.")
        if self.size is not None and not is_memory:
            raise ConfigurationError(f"{self._words}: only a tmpfs has a size.")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "read_only", (not is_memory) if self.read_only is None else bool(self.read_only))
        object.__setattr__(self, "size", None if self.size is None else _size(self._words, self.size))

    @classmethod
    def of(cls, value: Any) -> Mount:  # noqa: ANN401 - checked here
        """Parse the user's option: a `Mount`, a table of its fields, or ``"SOURCE:TARGET"`` with ``:rw`` or ``:ro``.

        Raises:
            ConfigurationError: it is none of these, or a field is wrong.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return cls(**known_fields("a mount", value, [each.name for each in fields(cls)]))
        written = _SHORT_MOUNT.fullmatch(value) if isinstance(value, str) else None
        if written is None:
            raise ConfigurationError(
                f"{value!r} is no mount: write 'SOURCE:TARGET' with an absolute target, which is read-only, or "
                "'SOURCE:TARGET:rw', or a Mount(...)."
            )
        return cls(written["source"], written["target"], read_only=written["mode"] != "rw")

    def plain(self) -> Union[str, dict[str, Any]]:
        """Return what `of` parses to an equal mount, as a configuration file has it."""
        is_short = self == Mount.of(short) if (short := self._short()) else False
        if is_short:
            return short
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) not in ("", None)}

    def _short(self) -> str:
        if self.kind == "tmpfs" or ":" in self.source + self.target:
            return ""
        return f"{self.source}:{self.target}" + ("" if self.read_only else ":rw")

    @property
    def _words(self) -> str:
        return f"The mount of {self.source or 'memory'!r} at {self.target!r}"


@dataclass(frozen=True)
class Secret:
    """A text that code in the container needs and nobody else may see; exactly one of its sources is set.

    It reaches the container within the file of the manager's settings, which only the manager's user can read and
    which is removed once it is read: never as an argument or a variable that the engine would show.
    """

    env: str = ""
    """Variable of the driver that holds it."""

    file: str = ""
    """File on the driver's machine that holds it; line breaks at its end are no part of it."""

    value: str = field(default="", repr=False)
    """The text itself. Such a secret is in no configuration file that cnflow writes."""

    call: Optional[Callable[[], str]] = field(default=None, repr=False)
    """Called in the driver, and returns it."""

    delivery: str = "file"
    """``file``: ``/run/secrets/NAME`` in memory, which only the container's user can read; ``environment``: the
    variable ``NAME`` of workers."""

    def __post_init__(self) -> None:
        if sum(map(bool, (self.env, self.file, self.value, self.call))) != 1:
            raise ConfigurationError("A secret has one source: env, file, value or call.")
        if self.delivery not in DELIVERIES:
            near = did_you_mean(self.delivery, DELIVERIES)
            raise ConfigurationError(f"A secret's delivery is {_listed(DELIVERIES)}, not {self.delivery!r}.{near}")

    @classmethod
    def of(cls, value: Any) -> Secret:  # noqa: ANN401 - checked here
        """Parse the user's option: a `Secret`, a table of its fields, ``"env:NAME"``, ``"file:PATH"``, or a function.

        Raises:
            ConfigurationError: it is none of these; the message does not quote it.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            return cls(**known_fields("a secret", value, [each.name for each in fields(cls)]))
        if callable(value):
            return cls(call=value)
        source, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon or source not in {"env", "file"}:
            raise ConfigurationError(
                "A secret is written 'env:NAME' (a variable of the driver) or 'file:PATH', or is a Secret(...); its "
                "own text is Secret(value=...)."
            )
        return cls(env=name) if source == "env" else cls(file=name)

    def read(self, name: str) -> str:
        """Return the text; *name* begins the message of an error.

        Raises:
            ConfigurationError: its source has none; names the source.
        """
        if self.env:
            if (found := os.environ.get(self.env)) is None:
                raise ConfigurationError(f"{name}: the driver has no variable {self.env!r}. Set it, or {_ELSE}")
            return found
        if self.file:
            try:
                text = Path(os.path.expandvars(self.file)).expanduser().read_text(encoding="utf-8")
            except (OSError, ValueError, RuntimeError) as error:
                raise ConfigurationError(f"{name}: {self.file!r} cannot be read: {error}. {_ELSE}") from None
            return text.rstrip("\r\n")
        return self.value or self._called(name)

    def plain(self) -> Union[str, dict[str, Any]]:
        """Return what `of` parses to an equal secret.

        Raises:
            ConfigurationError: its source is a text or a function, which no file gets.
        """
        if self.value or self.call is not None:
            raise ConfigurationError(
                "is a secret whose source is a text or a function, which needs Python: keep this configuration in a "
                ".py file, or use 'env:NAME' or 'file:PATH'"
            )
        source = f"env:{self.env}" if self.env else f"file:{self.file}"
        if self.delivery == "file":
            return source
        return {"env" if self.env else "file": self.env or self.file, "delivery": self.delivery}

    def _called(self, name: str) -> str:
        assert self.call is not None
        try:
            text = self.call()
        except Exception as error:  # the user's own
            raise ConfigurationError(f"{name}: its function raised {type(error).__name__}: {error}.") from error
        if not isinstance(text, str):
            raise ConfigurationError(f"{name}: its function returned a {type(text).__name__}, not a text.")
        return text


_ELSE = "use another source: 'env:NAME', 'file:PATH', or a Secret(...)."


@dataclass(frozen=True)
class Credentials:
    """User and password for the registry of an image. Without them the engine's own configuration is used."""

    user: str
    password: Secret

    @classmethod
    def of(cls, value: Any) -> Credentials:  # noqa: ANN401 - checked here
        """Parse the user's option: a `Credentials`, a table, or a pair of user and password, which is a `Secret`.

        Raises:
            ConfigurationError: it is none of these; the message does not quote it.
        """
        if isinstance(value, cls):
            return value
        if isinstance(value, Mapping):
            value = known_fields("credentials", value, ["user", "password"])
            value = (value.get("user"), value.get("password"))
        if not isinstance(value, (tuple, list)) or len(value) != 2 or not isinstance(value[0], str):  # noqa: PLR2004 - a pair
            raise ConfigurationError(
                "credentials are a user and the source of a password, such as {'user': 'me', 'password': 'env:NAME'}."
            )
        return cls(value[0], Secret.of(value[1]))

    def plain(self) -> dict[str, Any]:
        """Return what `of` parses to equal credentials.

        Raises:
            ConfigurationError: as `Secret.plain`.
        """
        return {"user": self.user, "password": self.password.plain()}


def known_fields(what: str, table: Mapping[Any, Any], known: Collection[str]) -> dict[str, Any]:
    """Return *table* as keyword arguments.

    Raises:
        ConfigurationError: it names none of the *known* fields; names the nearest.
    """
    for name in table:
        if name not in known:
            near = did_you_mean(str(name), known)
            raise ConfigurationError(f"{what} has no option {name!r}.{near} Known: {', '.join(known)}.")
    return {str(name): value for name, value in table.items()}


def _size(where: str, size: object) -> int:
    try:
        return bytes_in(size)
    except ValueError as error:
        raise ConfigurationError(f"{where}: size {error}.") from None


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(repr, words))
