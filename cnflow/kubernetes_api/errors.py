"""Errors of a cluster, in its API server's own words, with the user's next step.

::

    ClusterError (BlockError)                    no answer: the server cannot be reached, or the connection broke
    ├── ClusterRejectedError (BlockRejectedError)    no kubeconfig, unknown context: nothing was asked
    └── ApiError                                 an answer that is a refusal; asking again may succeed
        ├── ApiBusyError (ProviderBusyError)         quota is used up, too many requests
        └── ApiRejectedError (BlockRejectedError)    no right, no such namespace, invalid object, bad credentials
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError

if TYPE_CHECKING:
    from collections.abc import Mapping

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, GONE = 400, 401, 403, 404, 409, 410
TOO_LARGE, UNPROCESSABLE, TOO_MANY = 413, 422, 429

_PERMANENT = frozenset({BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, TOO_LARGE, UNPROCESSABLE})
_QUOTA = ("exceeded quota", "quota exceeded")
"""Words of the admission plugin ResourceQuota, which answers 403 like a missing right."""

_ENDING = "because it is being terminated"
"""Words of the admission plugin NamespaceLifecycle on a new object in a namespace that is being deleted."""

_UNKNOWN_FIELD = "strict decoding error"
"""Words of the API server on a field that it does not know, where it was asked to refuse such."""

_FREE_FIELDS = "patch=, affinity=, init_containers= or sidecars="
"""Settings that are sent as the user wrote them."""

_NO_USER = "system:anonymous"
_SIGN_IN = (
    "The credentials are missing, expired or revoked: sign in again, as your cluster wants it, until "
    "`kubectl get pods` works."
)


class ClusterError(BlockError):
    """The API server did not answer; the request may have arrived."""


class ClusterRejectedError(ClusterError, BlockRejectedError):
    """The settings lead to no cluster; nothing was asked."""


class ApiError(ClusterError):
    """The API server refused a request.

    Attributes:
        server: its address.
        status: HTTP status.
        reason: the API's word for it, such as ``AlreadyExists``; see `metav1.StatusReason`.
        message: the server's sentence.
        details: of the status object; may hold ``kind``, ``name``, ``causes``, ``retryAfterSeconds``.
    """

    def __init__(
        self, server: str, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None
    ) -> None:
        self.server = server
        self.status = status
        self.reason = reason
        self.message = message
        self.details: Mapping[str, Any] = details or {}
        super().__init__(server, status, reason, message, details)

    def __str__(self) -> str:
        advice = self.advice
        return f"The API server at {self.server} refuses: {self.message} ({self.status} {self.reason})" + (
            f"\n{advice}" if advice else ""
        )

    @property
    def advice(self) -> str:
        """The user's next step; empty where the server's sentence names it."""
        if self.status == UNAUTHORIZED or _NO_USER in self.message:
            return _SIGN_IN
        if _UNKNOWN_FIELD in self.message:
            return f"Correct that field in the provider's {_FREE_FIELDS}."
        if self.status in {BAD_REQUEST, UNPROCESSABLE}:
            return f"Correct that value in the provider's settings: its {_FREE_FIELDS}, or the option that gives it."
        if self.is_quota:
            return "Ask for less in the provider's settings, for fewer blocks (max_blocks), or for a larger quota."
        return ""

    @property
    def is_missing_right(self) -> bool:
        """True if the user may not do what was asked, and an RBAC rule would help."""
        return self.status == FORBIDDEN and " cannot " in self.message and not self.is_quota

    @property
    def is_quota(self) -> bool:
        """True if a ResourceQuota has no room now; it may have later."""
        return self.status == FORBIDDEN and any(words in self.message for words in _QUOTA)

    @property
    def is_missing_namespace(self) -> bool:
        """True if the namespace does not exist, or is being deleted."""
        missing = self.status == NOT_FOUND and self.details.get("kind") == "namespaces"
        return missing or (self.status == FORBIDDEN and _ENDING in self.message)


class ApiBusyError(ApiError, ProviderBusyError):
    """Nothing was done, for want of room; asking later may succeed."""


class ApiRejectedError(ApiError, BlockRejectedError):
    """Nothing was done, and the same request will be refused again."""


def api_error(server: str, status: int, body: bytes) -> ApiError:
    """Return the error that an answer of *status* with *body* stands for.

    The body is a ``Status`` object, or whatever a proxy in between sends.
    """
    try:
        answer = json.loads(body)
        reason, message, details = answer["reason"], answer["message"], answer.get("details")
    except (ValueError, TypeError, KeyError, AttributeError):
        reason, message, details = "", body[:1000].decode(errors="replace").strip() or "(no words)", None
    error = ApiError(server, status, str(reason), str(message), details)
    if status == TOO_MANY or error.is_quota:
        return ApiBusyError(*error.args)
    if status in _PERMANENT or error.is_missing_namespace:
        return ApiRejectedError(*error.args)
    return error
