"""Secrets of transfers, such as the value of a header: where they are read, and what travels with a task.

::

    variable, file ──> only its name travels: read on the machine that transfers
    text, function ──> read in the driver at the call; the text travels with the task, which is encrypted
"""

from __future__ import annotations

import os
from typing import NamedTuple

from cnflow.tasks.staging.attempts import RefusedError


class SecretSource(NamedTuple):
    """Source of a text that nobody may see; one of *env*, *file* and *text* is set."""

    prefix: str = ""
    """Begins the text, such as ``Bearer``; no secret."""

    env: str = ""
    file: str = ""
    text: str = ""

    def __repr__(self) -> str:
        source = f"env:{self.env}" if self.env else f"file:{self.file}" if self.file else "***"
        return f"<secret {self.prefix}{source}>"

    def read(self, name: str, *, has_lines: bool = False) -> str:
        """Return the text; *name* begins the message of an error, which never quotes the text.

        *has_lines*: it may have more than one line, as a key in a file has.

        Raises:
            RefusedError: this machine has no such variable or file, or the text cannot be sent.
        """
        text = self.prefix + self._read(name)
        if not (has_lines or text.isprintable()):
            raise RefusedError(f"{name}: its text has a line break or a control character in it")
        return text

    def _read(self, name: str) -> str:
        if self.env:
            found = os.environ.get(self.env)
            if found is None:
                raise RefusedError(f"{name}: the machine that transfers the file has no variable {self.env!r}")
            return found
        if self.file:
            path = os.path.expanduser(os.path.expandvars(self.file))
            try:
                with open(path, encoding="utf-8") as file:
                    return file.read().rstrip("\r\n")
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else "it is no text"
                raise RefusedError(f"{name}: {path!r}, on the machine that transfers the file: {why}") from None
        return self.text
