"""Calls of Compute Engine's REST API by Google's SDK, which this module alone imports; dicts in, dicts out.

::

    call ──> answer
      ├── throttled, not answered ──> again, each time later, for a minute in all; an insertion with the same request
      │                               id, so that it starts nothing twice
      └── refused ──> CallFailedError, with the reason

An insertion or deletion answers with an operation, which `finish` waits for: errors such as a zone without room come
with it.
"""

from __future__ import annotations

import json
import random
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import google.auth
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud import compute_v1
from google.protobuf.json_format import MessageToDict

from cnflow.errors import BlockError, BlockRejectedError, ProviderBusyError
from cnflow.providers.google.errors import CallFailedError, Failure, error_for, failed_operation, is_transient
from cnflow.providers.google.requests import last_part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from cnflow.config.google_cloud import GoogleCloudProvider

T = TypeVar("T")
_PATIENCE = 60.0
"""Seconds for which a call is repeated."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 16.0
_ANSWER_TIMEOUT = 30.0
_WAIT_TIMEOUT = 150.0  # the service answers a wait after two minutes at most
_PAGE = 500

Answer = dict[str, Any]


class ComputeClient:
    """Connection to Compute Engine with the credentials that the SDK finds. Safe from several threads."""

    def __init__(self, settings: GoogleCloudProvider, patience: float = _PATIENCE) -> None:
        self._settings, self._patience = settings, patience
        self._lock = threading.Lock()
        self._clients: dict[str, Any] = {}
        self._credentials: tuple[Any, str] | None = None
        self._closed = threading.Event()
        self._random = random.Random()  # noqa: S311 - spreads repeated calls

    # --- credentials

    @property
    def project(self) -> str:
        """Id of the project.

        Raises:
            BlockRejectedError: there are no credentials, or neither they nor the settings name a project.
        """
        project = self._settings.project or self._signed_in()[1]
        if not project:
            raise BlockRejectedError(
                "No project is known: the credentials name none. Set GoogleCloudProvider(project=...), or the variable "
                "GOOGLE_CLOUD_PROJECT."
            )
        return project

    def _signed_in(self) -> tuple[Any, str]:
        with self._lock:
            if self._credentials is None:
                self._credentials = self._find_credentials()
            return self._credentials

    def _find_credentials(self) -> tuple[Any, str]:
        scopes = ["https://www.googleapis.com/auth/cloud-platform"]
        try:
            if self._settings.key_file:
                path = str(Path(self._settings.key_file).expanduser())
                found, project = google.auth.load_credentials_from_file(path, scopes=scopes)
            else:
                found, project = google.auth.default(scopes=scopes)
        except (DefaultCredentialsError, OSError, ValueError) as error:
            raise BlockRejectedError(
                f"Google's SDK finds no credentials: {error} Run: gcloud auth application-default login"
            ) from error
        return found, project or ""

    def _client(self, name: str) -> Any:  # noqa: ANN401 - the SDK's clients have no base class
        credentials = self._signed_in()[0]
        with self._lock:
            if name not in self._clients:
                options = {"api_endpoint": self._settings.endpoint} if self._settings.endpoint else None
                self._clients[name] = getattr(compute_v1, name)(credentials=credentials, client_options=options)
            return self._clients[name]

    # --- calls

    def call(self, doing: str, client: str, method: str, **request: Any) -> Answer:  # noqa: ANN401 - fields of requests
        """Call *method* of the SDK's *client* and return the answer.

        Args:
            doing: what the call does, for messages: "start cnflow-a-0".
            client: name of a client of the SDK.
            method: its method.
            request: fields of the request; one that ends with ``_resource`` is a dict of the REST API.

        Raises:
            CallFailedError: it was refused.
            BlockError: no answer came, in a minute; or there are no credentials.
        """
        return self._persist(doing, lambda: self._once(client, method, request))

    def pages(self, doing: str, client: str, method: str, **request: Any) -> list[Answer]:  # noqa: ANN401 - as `call`
        """Call a *method* that lists, and return what all pages have; of an aggregated list, of all scopes."""
        return self._persist(doing, lambda: list(self._all(client, method, request)))

    def finish(self, doing: str, operation: Answer) -> Answer:
        """Wait for *operation*, for two minutes at most, and return it as it is then; see `failed_operation`."""
        if operation.get("status") == "DONE":
            return operation
        name, zone = operation["name"], last_part(operation.get("zone", ""))
        client = "ZoneOperationsClient" if zone else "GlobalOperationsClient"
        place = {"zone": zone} if zone else {}
        return self.call(doing, client, "wait", project=self.project, operation=name, **place)

    def run(self, doing: str, client: str, method: str, **request: Any) -> Answer:  # noqa: ANN401 - as `call`
        """Call a *method* that answers with an operation, and wait for its end.

        Raises:
            CallFailedError: it was refused, or failed.
        """
        operation = self.finish(doing, self.call(doing, client, method, **request))
        if failure := failed_operation(operation):
            raise CallFailedError(failure)
        return operation

    def close(self) -> None:
        """Close the connections, and end what waits to be repeated."""
        self._closed.set()
        with self._lock:
            clients = list(self._clients.values())
            self._clients.clear()
        for client in clients:
            client.transport.close()

    # --- one call

    def _persist(self, doing: str, attempt: Callable[[], T]) -> T:
        until, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        unanswered: BlockError | None = None
        while True:
            try:
                return self._translated(attempt)
            except CallFailedError as error:
                wait = pause * self._random.uniform(0.5, 1.0)
                if not is_transient(error.failure):
                    raise
                found = error_for(error.failure, doing)
                if not isinstance(found, ProviderBusyError):
                    unanswered = found
                if time.monotonic() + wait > until or self._closed.wait(wait):
                    raise unanswered or found from error  # a throttled attempt does not tell that none has worked
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _translated(self, attempt: Callable[[], T]) -> T:
        try:
            return attempt()
        except GoogleAPICallError as error:
            raise CallFailedError(_failure_of(error)) from error
        except (TransportError, RetryError, OSError) as error:  # exceptions of requests are OSErrors
            raise CallFailedError(Failure("", f"it does not answer: {error}")) from error
        except GoogleAuthError as error:
            if getattr(error, "retryable", False):
                raise CallFailedError(Failure("", f"the credentials cannot be renewed now: {error}")) from error
            raise CallFailedError(Failure("authError", f"the credentials are refused: {error}", 401)) from error

    def _once(self, client: str, method: str, request: Mapping[str, Any]) -> Answer:
        sender = self._client(client)
        timeout = _WAIT_TIMEOUT if method == "wait" else _ANSWER_TIMEOUT
        return _plain(getattr(sender, method)(request=_filled(sender, method, request), retry=None, timeout=timeout))

    def _all(self, client: str, method: str, request: Mapping[str, Any]) -> Iterator[Answer]:
        sender = self._client(client)
        filled = _filled(sender, method, {"max_results": _PAGE, **request})
        for found in getattr(sender, method)(request=filled, retry=None, timeout=_ANSWER_TIMEOUT):
            if not isinstance(found, tuple):
                yield _plain(found)
                continue
            scope = _plain(found[1])
            for items in scope.values():
                if isinstance(items, list):
                    yield from items


def _failure_of(error: GoogleAPICallError) -> Failure:
    details = [each for each in error.errors if isinstance(each, dict)]
    reason = details[0].get("reason", "") if details else error.reason or ""
    return Failure(reason, error.message, int(error.code or 0) or 500)


def _filled(sender: Any, method: str, request: Mapping[str, Any]) -> Any:  # noqa: ANN401 - the SDK's messages
    """Return the request message of *method*, made of fields and of dicts of the REST API."""
    service = type(sender).__name__.removesuffix("Client")
    name = "".join(word.capitalize() for word in method.removesuffix("_unary").split("_"))
    kind = getattr(compute_v1, _NAMES.get((service, method), f"{name}{service.removesuffix('s')}Request"))
    message = kind()
    for field, value in request.items():
        if isinstance(value, dict):
            made = kind.meta.fields[field].message
            value = made.from_json(json.dumps(value))  # noqa: PLW2901 - dicts become the SDK's messages
        setattr(message, field, value)
    return message


_NAMES = {
    ("Instances", "list"): "ListInstancesRequest",
    ("Instances", "aggregated_list"): "AggregatedListInstancesRequest",
    ("Instances", "get_serial_port_output"): "GetSerialPortOutputInstanceRequest",
    ("Images", "get_from_family"): "GetFromFamilyImageRequest",
    ("MachineTypes", "list"): "ListMachineTypesRequest",
    ("ZoneOperations", "list"): "ListZoneOperationsRequest",
    ("Zones", "list"): "ListZonesRequest",
    ("Networks", "list"): "ListNetworksRequest",
    ("Firewalls", "list"): "ListFirewallsRequest",
}
"""Names of messages that do not follow from those of the method and the client: those of lists are in the plural."""


def _plain(message: Any) -> Answer:  # noqa: ANN401 - the SDK's messages
    found: Answer = MessageToDict(type(message).pb(message))  # fields as the REST API has them, without unset ones
    return found
