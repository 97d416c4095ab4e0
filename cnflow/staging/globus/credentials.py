"""Who acts at Globus: an application registered there, for its user or for itself. No I/O."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

ID_VARIABLE = "GLOBUS_CLIENT_ID"
SECRET_VARIABLE = "GLOBUS_CLIENT_SECRET"  # noqa: S105 - the name of a variable


class Credentials(NamedTuple):
    """An application, and the file of its tokens."""

    client_id: str
    secret: str
    """Secret of an application that acts for itself; empty for one that acts for its user."""

    token_file: str

    def __repr__(self) -> str:
        return f"Credentials({self.client_id!r}, {'a secret' if self.secret else 'no secret'}, {self.token_file!r})"


def find_credentials(client_id: str | None, token_file: str | None, environment: Mapping[str, str]) -> Credentials:
    """Return the credentials of these options, completed from the environment.

    Raises:
        ConfigurationError: neither names an application.
    """
    found = client_id or environment.get(ID_VARIABLE, "")
    if not found:
        raise ConfigurationError(
            "Globus needs the id of an application that acts for you. Register one at "
            "https://app.globus.org/settings/developers (a thick client, or a service account), and pass "
            f"GlobusStaging(client_id=...), or set {ID_VARIABLE} (and {SECRET_VARIABLE} for a service account)."
        )
    secret = environment.get(SECRET_VARIABLE, "")
    home = Path(environment.get("HOME") or "~").expanduser()
    default = home / ".globus" / "app" / found / "cnflow" / "tokens.json"  # as the SDK names it
    return Credentials(found, secret, os.path.expanduser(token_file) if token_file else str(default))  # noqa: PTH111 - a text
