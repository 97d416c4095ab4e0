"""Parts of a block that other objects of the cluster stand behind: capsule, keys, owner. Values; no I/O.

::

    run's object, Secret of the block, ConfigMaps of the capsule ──> PodParts ──> `requests.job_for` ──> Job
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SETTINGS_FOLDER = "/.cnflow/run"
"""Folder in the container at which the block's Secret is mounted, read-only."""

SETTINGS_KEY = "settings"
"""Key of the Secret that holds `ManagerSettings.to_json()`; with the folder, the path of the settings file."""

SETTINGS_FILE = f"{SETTINGS_FOLDER}/{SETTINGS_KEY}"


def file_key(number: int) -> str:
    """Return the key of the Secret that holds file *number* of a request's command; see `requests.secret_content`."""
    return f"file-{number}"


class PodParts(NamedTuple):
    """Parts of a pod besides those that the user's settings and the request say."""

    owner: Mapping[str, Any]
    """Entry of ``ownerReferences``: the object of the run, whose deletion deletes the block. Empty: none."""

    secret: str
    """Name of the block's Secret; its key `SETTINGS_KEY` is the file `SETTINGS_FILE` in the container. Empty: none."""

    volumes: Sequence[Mapping[str, Any]] = ()
    """Volumes of the pod in which the capsule comes."""

    mounts: Sequence[Mapping[str, Any]] = ()
    """Mounts of the main container for them."""

    init_containers: Sequence[Mapping[str, Any]] = ()
    """Containers that run before the main one, such as one that unpacks the capsule."""

    command: Sequence[str] = ()
    """Argument vector of the main container, which starts the manager from the capsule. Empty: the image's own."""

    environment: Mapping[str, str] = {}
    """Variables of the main container that the capsule needs."""

    uid: int | None = None
    """Number of the user that the image starts as, where it was looked at; decides who may read the Secret."""

    pull_secrets: Sequence[str] = ()
    """Names of Secrets that were made for the image's own credentials; see `requests.credentials_content`."""
