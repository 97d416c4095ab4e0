"""Errors of Compute Engine as cnflow's: by the reason that an answer or an operation has. No I/O.

An error comes in one of two ways: at once, as an answer of HTTP with a ``reason``, or with the operation that was
accepted and failed later, with a ``code``. Answers of status 403 have nothing else in common: a limit of requests, a
limit of machines and a missing right all have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Codes of operations: https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-vm-creation and
# https://cloud.google.com/compute/docs/troubleshooting/troubleshooting-resource-availability
# Reasons of answers: https://cloud.google.com/storage/docs/json_api/v1/status-codes and
# https://cloud.google.com/compute/docs/api/best-practices#errors
_CLASSES: Mapping[str, type[BlockError]] = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": NoCapacityError,
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": NoCapacityError,
    "RESOURCE_POOL_EXHAUSTED": NoCapacityError,
    "STOCKOUT": NoCapacityError,
    "UNSUPPORTED_OPERATION": NoCapacityError,  # the zone does not have this type, or this type no GPU
    "QUOTA_EXCEEDED": QuotaError,
    "LIMIT_EXCEEDED": QuotaError,
    "quotaExceeded": QuotaError,
    "limitExceeded": QuotaError,
    "RATE_LIMIT_EXCEEDED": ProviderBusyError,
    "OPERATION_RATE_EXCEEDED": ProviderBusyError,
    "RESOURCE_OPERATION_RATE_EXCEEDED": ProviderBusyError,
    "rateLimitExceeded": ProviderBusyError,
    "userRateLimitExceeded": ProviderBusyError,
    "resourceNotReady": ProviderBusyError,
    "backendError": BlockError,
    "internalError": BlockError,
    "INTERNAL_ERROR": BlockError,
}
_BY_STATUS: Mapping[int, type[BlockError]] = {
    408: BlockError,
    429: ProviderBusyError,
    500: BlockError,
    502: BlockError,
    503: BlockError,
    504: BlockError,
}
_NO_RIGHT = {"forbidden", "insufficientPermissions", "PERMISSIONS_ERROR", "required", "IAM_PERMISSION_DENIED"}
_HIGHER_LIMIT = "End other machines, or ask for a higher limit at https://console.cloud.google.com/iam-admin/quotas"
_ADVICE: Mapping[str, str] = {
    "accessNotConfigured": "Enable the API for the project: gcloud services enable compute.googleapis.com",
    "authError": "Log in again: gcloud auth application-default login",
    "quotaExceeded": _HIGHER_LIMIT,
    "QUOTA_EXCEEDED": _HIGHER_LIMIT,
    "RESOURCE_NOT_FOUND": "The request names something that the project does not have; see the message.",
}
_RIGHTS = (
    "The credentials need the roles Compute Instance Admin (v1), and Service Account User for the machines' account."
)


class Failure(NamedTuple):
    """An error of Compute Engine, from an answer or from an operation."""

    reason: str
    """Reason of the answer, or code of the operation; empty where the service was not reached."""

    message: str
    status: int = 0
    """Status of HTTP; 0 where there was no answer."""


class CallFailedError(Exception):
    """Compute Engine, or its SDK, refused a call."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def failed_operation(operation: Mapping[str, Any]) -> Failure | None:
    """Return why *operation* failed; None if it did not."""
    errors = (operation.get("error") or {}).get("errors") or []
    if not errors:
        return None
    status = int(operation.get("httpErrorStatusCode") or 0)
    return Failure(errors[0].get("code", ""), errors[0].get("message", ""), status or 400)


def is_transient(failure: Failure) -> bool:
    """Return whether the same request may succeed in a moment: it was throttled, or not answered."""
    if failure.reason in _CLASSES:
        return _CLASSES[failure.reason] in {ProviderBusyError, BlockError}
    return failure.status == 0 or failure.status in _BY_STATUS


def is_absent(failure: Failure) -> bool:
    """Return whether what was asked for is not there."""
    return failure.status == 404  # noqa: PLR2004 - as HTTP has it


def error_for(failure: Failure, doing: str) -> BlockError:
    """Return the error for *failure* of what *doing* names, such as ``start cnflow-a-0 in us-central1-a``."""
    reason, message, status = failure
    usual = BlockError if status == 0 else BlockRejectedError
    found = _CLASSES.get(reason) or _BY_STATUS.get(status) or usual
    words = f"Compute Engine could not {doing}: {message.strip() or 'no reason given'}"
    code = ", ".join(str(each) for each in (reason, status or "") if each)
    advice = _RIGHTS if reason in _NO_RIGHT else _ADVICE.get(reason, "")
    return found(f"{words}{f' ({code})' if code else ''}{f' {advice}' if advice else ''}")
