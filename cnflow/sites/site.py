"""The folder of cnflow at a site, and what is put there once: its own code for an interpreter.

::

    site_dir/                    0700, on a file system that login node and nodes share
      capsules/TAG/              cnflow's code for one kind of interpreter; unpacked beside, then renamed
      runs/RUN/EXECUTOR/         settings of blocks (0600), submit scripts, output of jobs
      images/                    see `cnflow.sites.courier`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.capsule import Kind, Probe
    from cnflow.interfaces.channel import Channel


class SiteFacts(NamedTuple):
    """What is known of a site once it was looked at, in one call of its channel."""

    folder: str
    """Absolute path of `site_dir`."""

    home: str
    user: str
    host: str
    addresses: tuple[str, ...]
    """IP addresses of the login node, without loopback; likeliest first."""

    machine: str
    """As ``uname -m``."""

    libc: str
    """``glibc`` or ``musl``; empty if not known."""

    python: Probe | None
    """The site's own ``python3``; None if it has none."""

    found: tuple[str, ...]
    """Paths of those of the programs asked for that the login node has."""


class Site(Protocol):
    """A site; the live one is `cnflow.sites.folder.SiteFolder`. Called from any thread."""

    channel: Channel

    def facts(self, programs: Sequence[str] = ()) -> SiteFacts:
        """Look at the site, and make its folder; the answer is kept.

        Raises:
            ChannelError: it cannot be reached, or its folder not be made; the message has the next step.
        """

    def capsule(self, kind: Kind) -> str:
        """Path of the folder at the site that holds the package ``cnflow`` for *kind*; sent there if it is not there.

        One that carries an interpreter has it at ``PATH/`` `cnflow.capsule.CARRIED_PYTHON`.

        Raises:
            ChannelError: it cannot be sent.
        """

    def put(self, content: bytes, path: str, mode: int = 0o600) -> str:
        """Write a file, *path* relative to the site's folder; return its absolute path."""

    def remove(self, path: str) -> None:
        """Remove a file or folder in the site's folder, if it is there; *path* as in `put`."""
