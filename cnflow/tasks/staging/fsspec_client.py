"""The only importer of fsspec: one file of a store, and what the errors of stores mean."""

from __future__ import annotations

import os
import uuid
from typing import Any, Optional
from urllib.parse import unquote, urlsplit

_RENAMING = frozenset({"sftp", "ssh", "smb", "hdfs", "arrow_hdfs", "webhdfs", "file", "local", "ftp", "root"})
"""Protocols of stores where a file that is written can be seen before it is whole, and renamed."""

_BLOCK = 16 * 1024 * 1024
_WRONG_OPTIONS = frozenset({"ParamValidationError", "InvalidConfigError", "InvalidRegionError", "ProfileNotFound"})
_FINAL_CODES = frozenset({400, 401, 403, 404, 405, 410})
_STRONG = ("VersionId", "generation", "ETag", "etag")
_VERSIONS = ("ETag", "etag", "generation", "content_settings", "LastModified", "last_modified", "mtime", "created")
"""Keys of fsspec's answers on a file, of which a store has some."""


class Store:
    """One file of a store.

    Args:
        scheme: of its URL.
        url: as the user wrote it.
        options: of fsspec's file system.
        timeout: seconds, for stores that take one.
        is_fresh: make a new connection, instead of one that other files had.
    """

    def __init__(self, scheme: str, url: str, options: dict[str, Any], timeout: float, *, is_fresh: bool) -> None:
        self._is_renamed = scheme in _RENAMING
        if scheme == "sftp":
            self._path, options = _sftp_path(url), {"timeout": timeout, **_sftp_login(url), **options}
            system = _sftp_system()
        else:
            system, options = _system_of(scheme), {"use_listings_cache": False, **options}
            self._path = str(system._strip_protocol(url))  # noqa: SLF001 - there is no other way to a store's own path
        if is_fresh:
            system.clear_instance_cache()
        self._system: Any = system(**options)

    def size_and_version(self) -> tuple[Optional[int], object]:
        """Size of the file, None if the store does not tell, and what changes when its content does."""
        info = self._info()
        if info.get("type") == "directory":
            raise IsADirectoryError("it is a folder, not a file")
        return info.get("size"), (info.get("size"), *(str(info.get(name)) for name in _VERSIONS))

    def strong_version(self) -> str:
        """What only this content of the file has, such as its ETag; empty in stores that know its time at most."""
        if self._is_renamed:
            return ""
        info = self._info()
        return next((f"{name} {info[name]}" for name in _STRONG if info.get(name) not in {None, "", "null"}), "")

    def open(self, begin: int, size: Optional[int]) -> Any:  # noqa: ANN401 - fsspec's file
        """Open the file for reading from the byte *begin*."""
        opened = self._system.open(self._path, "rb", block_size=_BLOCK)
        opened.seek(begin)
        if size is not None and hasattr(opened, "prefetch"):
            opened.prefetch(size)  # paramiko: many requests at once, instead of one after another
        return opened

    def put(self, path: str) -> None:
        """Write the file at *path* of this machine to the store, where it appears as a whole."""
        target = self._path
        if self._is_renamed:
            folder, _, name = self._path.rpartition("/")
            self._system.makedirs(folder or "/", exist_ok=True)
            target = f"{folder}/.{name[-100:]}.{uuid.uuid4().hex[:8]}.part"
        try:
            self._system.put_file(path, target)
            self._check_size(path, target)
            if self._is_renamed:
                self._system.mv(target, self._path)
        except BaseException:
            if self._is_renamed:
                self._remove(target)
            raise

    def _check_size(self, path: str, target: str) -> None:
        found, wanted = self._system.info(target).get("size"), os.path.getsize(path)
        if found is not None and found != wanted:
            raise ConnectionError(f"the store has {found} of {wanted} bytes")

    def _info(self) -> dict[str, Any]:
        info: dict[str, Any] = self._system.info(self._path)
        return info

    def _remove(self, target: str) -> None:
        import contextlib

        with contextlib.suppress(Exception):  # the error that is on its way counts
            self._system.rm_file(target)


def final_reason(error: Exception, scheme: str) -> str:
    """Why another try would end with *error*, too; empty if it may not."""
    name, text = type(error).__name__, str(error)
    code = getattr(error, "code", None)
    for is_one, reason in (
        (isinstance(error, FileNotFoundError), f"it does not exist, or its bucket or folder does not: {text}"),
        (isinstance(error, PermissionError), f"permission denied: {text}"),
        (isinstance(error, (IsADirectoryError, NotADirectoryError)), text),
        (
            "Credential" in name or "Authentication" in name,
            f"the store refuses the login ({name}: {text}). Pass FsspecStaging(options={{{scheme!r}: ...}})",
        ),
        (
            name == "BadHostKeyException",
            f"the host key is another one than known_hosts has; another machine may answer in its place: {text}",
        ),
        (
            "not found in known_hosts" in text,
            (
                f"{text}: the host cannot be told from another machine. Add its key to ~/.ssh/known_hosts of the "
                "machine that moves the file, or name a file by the option 'known_hosts'"
            ),
        ),
        (isinstance(error, (ValueError, TypeError)) or name in _WRONG_OPTIONS, f"{name}: {text}"),
        (isinstance(code, int) and code in _FINAL_CODES, f"{name}: {text}"),
    ):
        if is_one:
            return reason
    return ""


def protocols() -> list[str]:
    """Schemes that the installed fsspec knows; empty where there is none."""
    try:
        from fsspec import available_protocols
    except ImportError:
        return []
    return sorted(available_protocols())


def _system_of(scheme: str) -> Any:  # noqa: ANN401 - a class of fsspec
    from fsspec import get_filesystem_class

    return get_filesystem_class(scheme)


def _sftp_system() -> Any:  # noqa: ANN401 - a class of fsspec
    from cnflow.tasks.staging.known_hosts_sftp import KnownHostsSFTP

    return KnownHostsSFTP


def _sftp_path(url: str) -> str:
    """Path of an ``sftp:`` URL, as written: ``?`` and ``#`` belong to names of files."""
    rest = url.partition("://")[2]
    return "/" + rest.partition("/")[2]


def _sftp_login(url: str) -> dict[str, Any]:
    parts = urlsplit(url.partition("://")[0] + "://" + url.partition("://")[2].partition("/")[0])
    found: dict[str, Any] = {"host": parts.hostname or "", "port": parts.port or 22}
    if parts.username:
        found["username"] = unquote(parts.username)
    if parts.password:
        found["password"] = unquote(parts.password)
    return found
