"""Gives workers the secrets of their image: files that only the manager's user can read, and variables.

::

    settings file, removed once it was read ──> secret_files ──────> /run/secrets/NAME, mode 0600, in memory
                                            └─> secret_variables ──> environment of each worker
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from cnflow.manager.errors import ManagerStartError

if TYPE_CHECKING:
    from cnflow.model.manager_settings import ManagerSettings


def deliver_secrets(settings: ManagerSettings) -> None:
    """Write the secrets that are files, and set those that are variables.

    Raises:
        ManagerStartError: a file cannot be written; names it.
    """
    for path, text in settings.secret_files.items():
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # noqa: PTH103, PTH120 - pathlib would be one more import of each start
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise ManagerStartError(
                f"Secret {path}: it cannot be written in the container ({error.strerror}). Let the user of the image "
                "write to its folder, or deliver it as a variable: Secret(..., delivery='environment')."
            ) from error
    os.environ.update(settings.secret_variables)
