"""Refusals of OpenStack and their meaning. No I/O.

::

    ApiError(status, words) ── `meaning_of` ──> QuotaError, ProviderBusyError, BlockRejectedError, BlockError
    ERROR of a server       ── `has_no_room` ─> NoCapacityError

Statuses: https://docs.openstack.org/api-ref/compute/#create-server
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError, QuotaError

if TYPE_CHECKING:
    from collections.abc import Collection

_ANY = re.compile("")
_QUOTA = re.compile(r"quota|limit exceeded|overlimit|maximum number of", re.IGNORECASE)
_NO_ROOM = re.compile("no valid host", re.IGNORECASE)
_SEVERAL_NETWORKS = re.compile(r"multiple possible networks", re.IGNORECASE)
_NETWORK_IS_FULL = re.compile(r"no (more )?fixed ip|no more ip addresses", re.IGNORECASE)
_ADDRESS = re.compile(r"fixed ip|ip address", re.IGNORECASE)


class _Rule(NamedTuple):
    """Meaning of a refusal, by its status and words."""

    statuses: Collection[int]
    words: re.Pattern[str]
    error: type[BlockError]
    advice: str


_RULES = (
    _Rule(
        {HTTPStatus.UNAUTHORIZED},
        _ANY,
        BlockRejectedError,
        "Correct the entry of clouds.yaml or the variables OS_..., or log in anew where they expire; by hand: "
        "openstack token issue",
    ),
    _Rule(
        {HTTPStatus.FORBIDDEN, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.CONFLICT},
        _QUOTA,
        QuotaError,
        "The quota of the project is used up: end other servers, ask for more, or lower max_blocks. Servers that are "
        "shut off count, too; by hand: openstack limits show --absolute",
    ),
    _Rule(
        {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_ENTITY_TOO_LARGE},
        _ANY,
        ProviderBusyError,
        "The cloud limits requests; cnflow asks again.",
    ),
    _Rule(
        {HTTPStatus.CONFLICT},
        _SEVERAL_NETWORKS,
        BlockRejectedError,
        "Name the network of the machines: networks=['NAME'].",
    ),
    _Rule(
        {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT},
        _NETWORK_IS_FULL,
        ProviderBusyError,
        "The network has no address left; cnflow asks again.",
    ),
)
"""The first that fits holds. Neutron refuses by a quota with 409, nova with 403."""


class ApiError(Exception):
    """A request was refused.

    Attributes:
        status: of HTTP.
        words: of the service.
    """

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        self.words = words
        super().__init__(f"{words} (status {status})")

    @property
    def is_missing(self) -> bool:
        """True if there is no such thing."""
        return self.status == HTTPStatus.NOT_FOUND


def meaning_of(error: ApiError, action: str) -> BlockError:
    """Return the error of the seam for a request that was refused; *action* begins its message."""
    words = f"{action}: {error.words.strip()} (status {error.status})."
    for rule in _RULES:
        if error.status in rule.statuses and rule.words.search(error.words):
            return rule.error(f"{words}\n{rule.advice}")
    is_refusal = error.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return BlockRejectedError(words) if is_refusal else BlockError(words)


def is_about_address(error: ApiError) -> bool:
    """Return whether a server was refused since its address is in use, or not of its network."""
    return error.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.CONFLICT} and bool(_ADDRESS.search(error.words))


def has_no_room(fault: str) -> bool:
    """Return whether a server has the status ERROR since no host had room for it.

    Where every host failed to build it, nova has other words; that may be a fault of image or network.
    """
    return bool(_NO_ROOM.search(fault))
