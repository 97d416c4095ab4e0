"""Staging of files in stores that fsspec reaches: buckets of clouds, and servers with SFTP.

::

    s3://bucket/x ──> fsspec.filesystem("s3", **options["s3"]) ──> copy ──> task
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnflow.errors import ConfigurationError, UnknownNameError
from cnflow.model.image_parts import Secret
from cnflow.staging.file_names import name_of
from cnflow.staging.ways import WayStaging, check_tries, check_way
from cnflow.tasks.staging.attempts import RetryPolicy
from cnflow.tasks.staging.fsspec_client import protocols
from cnflow.tasks.staging.secrets import SecretSource
from cnflow.tasks.staging.stores import EXTRAS, StoreMover, frozen

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnflow.model.file import File

_IS_SECRET = re.compile(r"secret|passw|passphrase|token|account_key|connection_string|credential|pkey", re.IGNORECASE)
_SOURCE = re.compile(r"(?:env|file):.+")
_OWN = frozenset({"file", "local", "http", "https", "ftp", "ftps", "zip", "data", "docker", "globus"})
"""Schemes of fsspec that have a staging of their own, or mean another thing here."""


class FsspecStaging(WayStaging):
    """Moves files of ``s3:``, ``gs:``, ``az:``, ``sftp:`` and of other schemes that the installed fsspec knows.

    Needs the packages of an extra where the files are moved: ``cnflow[s3]``, ``cnflow[gcs]``, ``cnflow[azure]`` or
    ``cnflow[sftp]``. Without options, the store's own variables and files of that machine hold, such as
    ``AWS_ACCESS_KEY_ID`` and ``~/.aws``.

    Args:
        options: scheme -> options of fsspec's file system, such as ``{"s3": {"endpoint_url": "https://..."}}``. Secrets
            among them are ``"env:NAME"`` or ``"file:PATH"``, read on the machine that moves the file, or a `Secret`.
        schemes: those that it moves; None is the usual ones and those of *options*.
        way: ``in_task``, ``separate``: a task of its own on the same executor, or ``driver``: a thread of the driver.
            None is ``separate`` where tasks see the run's folder, and ``driver`` where they do not.
        timeout: seconds without data after which a try fails, where the store's package takes it.
        tries: how often what fails is tried; what is refused is final.
        pause: seconds before the second try, doubled before each further one.
    """

    def __init__(
        self,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        schemes: Sequence[str] | None = None,
        way: str | None = None,
        timeout: float = 60.0,
        tries: int = 4,
        pause: float = 0.5,
    ) -> None:
        check_tries("FsspecStaging", timeout, tries, pause)
        check_way("FsspecStaging", way)
        self.options = {scheme: _checked(scheme, table) for scheme, table in (options or {}).items()}
        self.schemes = _schemes(schemes, self.options)
        self.way = way
        self.timeout = timeout
        self.tries = tries
        self.pause = pause

    def can_stage_in(self, file: File) -> bool:
        """Return whether *file* is of one of the schemes; a folder or pattern is not."""
        return file.scheme in self.schemes and not (file.directory or file.glob)

    def name_of_copy(self, file: File) -> str:
        """Last part of the URL's path."""
        return name_of(file.url)

    @property
    def mover(self) -> StoreMover:
        """Opens file systems with these options."""
        options = {
            scheme: {name: _source(part) for name, part in table.items()} for scheme, table in self.options.items()
        }
        return StoreMover(frozen(options), RetryPolicy(self.timeout, self.tries, self.pause))


def advice_on_scheme(scheme: str, known: Collection[str]) -> str:
    """Sentence on how files of *scheme*, which is none of *known*, can be moved after all; empty if they cannot."""
    if scheme in EXTRAS and scheme not in known:
        return f" Add FsspecStaging() to storage_access=; it needs pip install 'cnflow[{EXTRAS[scheme]}]'."
    if scheme == "globus":
        return " Add GlobusStaging(...) to storage_access=; it needs pip install 'cnflow[globus]'."
    if scheme == "rsync":
        return " Add RSyncStaging('user@host') to storage_access=, and pass the path on that host alone."
    if scheme in protocols() and scheme not in _OWN:
        return f" fsspec knows {scheme}: files: add FsspecStaging(schemes=[{scheme!r}]) to storage_access=."
    near = [each for each in difflib.get_close_matches(scheme, known, 1) if each in EXTRAS]
    return f" Files of {near[0]}: need pip install 'cnflow[{EXTRAS[near[0]]}]'." if near else ""


def _schemes(schemes: Sequence[str] | None, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the schemes to move.

    Raises:
        ConfigurationError: another staging has one of them.
        UnknownNameError: fsspec does not know one of them.
    """
    named = (*EXTRAS, *options) if schemes is None else tuple(schemes)
    for scheme in named:
        if scheme in _OWN:
            raise ConfigurationError(f"FsspecStaging: files of {scheme}: have a staging of their own.")
        if scheme not in EXTRAS and (known := protocols()) and scheme not in known:  # asked late: it imports fsspec
            raise UnknownNameError("scheme of fsspec", scheme, set(known) - _OWN)
    return tuple(dict.fromkeys(named))


def _checked(scheme: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of one scheme, with `Secret` for those that must not be shown."""
    if not isinstance(table, Mapping):
        raise ConfigurationError(
            f"FsspecStaging(options={{{scheme!r}: ...}}): write a table of options of fsspec's {scheme!r} file system."
        )
    return {str(name): _hidden(str(name), value) for name, value in table.items()}


def _hidden(name: str, value: Any, *, is_secret: bool = False) -> Any:  # noqa: ANN401 - a user's value
    """Return *value* with a `Secret` for each text that nobody may see; *is_secret*: it is inside of such an option."""
    is_secret = is_secret or bool(_IS_SECRET.search(name))
    if isinstance(value, Mapping):  # such as client_kwargs= of s3fs, or the account of a service as token= of gcsfs
        return {each: _hidden(str(each), part, is_secret=is_secret) for each, part in value.items()}
    if isinstance(value, str) and not _SOURCE.fullmatch(value) and is_secret:
        return Secret(value=value) if value else value
    return Secret.of(value) if callable(value) and is_secret else value


def _source(value: Any) -> Any:  # noqa: ANN401 - a user's value
    """What travels of an option: for a secret its source, or the text where only the driver can read it."""
    if isinstance(value, str) and _SOURCE.fullmatch(value):
        value = Secret.of(value)
    if isinstance(value, Secret):
        if value.env or value.file:
            return SecretSource(env=value.env, file=value.file)
        return SecretSource(text=value.read("FsspecStaging"))
    return {name: _source(part) for name, part in value.items()} if isinstance(value, Mapping) else value
