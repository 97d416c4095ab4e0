"""Azure as the provider of machines sees it: virtual machines of one resource group.

::

    launch ────> PUT .../virtualMachines/NAME, If-None-Match: *     a repeated request: 412, and the tag has the token
                    └── operation fails with AllocationFailed ──> deleted, NoCapacityError
    list ──────> all of the group with their instance views, filtered by tags here; Azure filters none
    terminate ─> DELETE; interface, address and disk go with the machine
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from cnflow.clock import SystemClock
from cnflow.errors import BlockError, BlockRejectedError, MissingExtraError, NoCapacityError
from cnflow.model.finding import Finding, Verdict
from cnflow.model.machine import Machine, Placement
from cnflow.providers._shared.machines.recent import RecentlyDeleted
from cnflow.providers._shared.machines.tags import ROLE, ROLE_INTERCHANGE
from cnflow.providers.azure import requests
from cnflow.providers.azure.answers import ApiError, machine_of, meaning_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from cnflow.config.azure import AzureProvider
    from cnflow.model.machine import MachineRequest
    from cnflow.providers.azure.client import AzureClient

logger = logging.getLogger(__name__)

_TRIES, _PAUSE = 20, 1.0
"""Looks at the operation of a launch: a lack of capacity shows within seconds."""

_MOST_TYPES = 4
_INTERCHANGE = "Standard_B1ms"


def connect(settings: AzureProvider) -> AzureClient:
    """Return a client; nothing is sent.

    Raises:
        MissingExtraError: the SDK is not installed.
    """
    with MissingExtraError.for_import("AzureProvider (kind 'azure')", "azure"):
        from cnflow.providers.azure.client import AzureClient  # noqa: PLC0415 - imports the SDK, an extra
    return AzureClient(settings)


class AzureCloud:
    """The machines of one resource group; see `cnflow.interfaces.cloud.Cloud`.

    Args:
        settings: what the user wrote.
    """

    def __init__(self, settings: AzureProvider) -> None:
        self.name = f"Azure in {settings.location}"
        self._settings = settings
        self._lock = threading.Lock()
        self._client: AzureClient | None = None
        self._closing = threading.Event()
        self._recent = RecentlyDeleted(SystemClock())

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Types in order, each in the zones in turn: as spot first, where that is asked for."""
        settings = self._settings
        types = [settings.interchange_type or _INTERCHANGE] if for_interchange else settings.instance_types
        types = types or settings.cheapest_types()[:_MOST_TYPES]
        if not types:
            raise BlockRejectedError(
                f"No type of {self.name} has {settings.cores or 1} cores and {settings.gpus} GPUs: set instance_types=."
            )
        is_spot = settings.spot and not for_interchange
        kinds = [True, False] if is_spot and settings.spot_fallback else [is_spot]
        return [
            self._placement(type_, zone, spot) for spot in kinds for type_ in types for zone in settings.zones or [""]
        ]

    def prepare(self, tags: Mapping[str, str]) -> None:
        """See that the settings are whole and the group can be read; nothing is made."""
        del tags
        wanted = ("subscription_id", "image_id", "subnet")
        if missing := next((name for name in wanted if not getattr(self._settings, name)), ""):
            raise BlockRejectedError(f"AzureProvider needs {missing}=, which machines cannot do without.")
        self._all()

    def launch(self, request: MachineRequest) -> Machine:
        """Start one machine, and wait some seconds for a lack of capacity."""
        path = requests.machines_path(self._settings, request.name)
        body = requests.machine_for(request, self._settings, f"Aa1!{secrets.token_urlsafe(30)}")
        try:
            made = self._on.request("PUT", path, body=body, headers={"If-None-Match": "*"})
        except ApiError as error:
            if error.status == HTTPStatus.PRECONDITION_FAILED:
                return self._existing(request, path)
            raise meaning_of(error, f"{self.name}: {request.name} is refused ({request.placement})") from error
        failure = self._failure(made.get("operation"))
        if failure is not None:
            self._delete(request.name)
            raise meaning_of(failure, f"{self.name}: {request.name} has failed ({request.placement})")
        return replace(machine_of({"name": request.name, **made}), placement=request.placement)

    def list(self, tags: Mapping[str, str]) -> Sequence[Machine]:
        """Machines of the group with all of *tags*, and those deleted here."""
        found = [self._with_rate(machine_of(each)) for each in self._all()]
        ours: Sequence[Machine] = [each for each in found if tags.items() <= each.tags.items()]
        if any(each.tags.get(ROLE) == ROLE_INTERCHANGE for each in ours):
            ours = self._with_addresses(ours)
        self._recent.on_listed(ours)
        return list({**self._recent.with_tags(tags), **{each.id: each for each in ours}}.values())

    def terminate(self, ids: Collection[str]) -> Mapping[str, str]:
        """Delete machines with all that is theirs."""
        refused = {}
        for each in ids:
            try:
                self._delete(each)
                self._recent.on_deleted(each)
            except BlockError as error:
                refused[each] = str(error)
        return refused

    def console(self, machine: str) -> bytes:
        """The serial console, as boot diagnostics keep it."""
        path = f"{requests.machines_path(self._settings, machine)}/retrieveBootDiagnosticsData"
        try:
            address = self._on.request("POST", path).get("serialConsoleLogBlobUri")
        except ApiError as error:
            if error.status in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                return b""
            raise meaning_of(error, "The console cannot be read") from error
        return self._on.text(str(address)) if address else b""

    def remove_shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Nothing: none is made."""
        del tags
        return ()

    def shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Nothing: none is made."""
        del tags
        return ()

    def preview(self, request: MachineRequest) -> Mapping[str, object]:
        """Body of the request for a machine."""
        return requests.machine_for(request, self._settings)

    def check(self) -> Sequence[Finding]:
        """Findings on login, resource group and settings."""
        try:
            self.prepare({})
            types = ", ".join(str(each) for each in self.placements())
        except (BlockError, MissingExtraError) as error:
            found, _, advice = str(error).partition("\n")
            return [Finding("Azure", Verdict.BAD, found, advice)]
        return [Finding("Azure", Verdict.GOOD, f"{self.name}, group {self._settings.resource_group}: {types}")]

    def close(self) -> None:
        """End waits, and close the connections."""
        self._closing.set()
        with self._lock:
            if self._client is not None:
                self._client.close()

    @property
    def _on(self) -> AzureClient:
        with self._lock:
            if self._client is None:
                self._client = connect(self._settings)
            return self._client

    def _placement(self, type_: str, zone: str, is_spot: bool) -> Placement:  # noqa: FBT001 - as in `Placement`
        return Placement(type_, zone, is_spot, self._settings.rate_of(type_, is_spot=is_spot))

    def _with_rate(self, machine: Machine) -> Machine:
        where = machine.placement
        return replace(machine, placement=self._placement(where.instance_type, where.zone, where.is_spot))

    def _all(self) -> Sequence[dict[str, Any]]:
        with self._refusals("The machines cannot be listed"):
            return [*self._on.pages(requests.machines_path(self._settings), {"$expand": "instanceView"})]

    def _existing(self, request: MachineRequest, path: str) -> Machine:
        with self._refusals(f"{request.name} cannot be read"):
            machine = machine_of(self._on.request("GET", path, query={"$expand": "instanceView"}))
        if machine.tags.get(requests.TOKEN) != request.token:
            raise NoCapacityError(f"{self.name} has another machine with the name {request.name}.")
        return machine

    def _failure(self, operation: str | None) -> ApiError | None:
        """Return why a long *operation* has failed; None while it goes on, or where it is not known."""
        for _ in range(_TRIES if operation else 0):
            try:
                state = self._on.request("GET", str(operation))
            except (ApiError, BlockError) as failure:  # the machine was accepted, and `list` shows what comes of it
                logger.info("%s: the operation of a launch cannot be read: %s", self.name, failure)
                return None
            if state.get("status") in {"Failed", "Canceled"}:
                error = state.get("error") or {}
                return ApiError(HTTPStatus.CONFLICT, str(error.get("code")), str(error.get("message")))
            if state.get("status") == "Succeeded" or self._closing.wait(_PAUSE):
                break
        return None

    def _delete(self, name: str) -> None:
        with self._refusals(f"{name} is not deleted"):
            try:
                self._on.request(
                    "DELETE", requests.machines_path(self._settings, name), query={"forceDeletion": "true"}
                )
            except ApiError as error:
                if error.status != HTTPStatus.NOT_FOUND:
                    raise

    def _with_addresses(self, machines: Sequence[Machine]) -> Sequence[Machine]:
        base = f"{requests.group_path(self._settings)}/providers/Microsoft.Network"
        with self._refusals("The addresses cannot be listed"):
            public = {
                each["id"]: each["properties"].get("ipAddress", "")
                for each in self._on.pages(f"{base}/publicIPAddresses")
            }
            interfaces = [*self._on.pages(f"{base}/networkInterfaces")]
        known: dict[str, tuple[str, str]] = {}
        for each in interfaces:
            owner = str((each["properties"].get("virtualMachine") or {}).get("id", "")).rpartition("/")[2]
            first = each["properties"]["ipConfigurations"][0]["properties"]
            outside = public.get((first.get("publicIPAddress") or {}).get("id"), "")
            known[owner] = str(first.get("privateIPAddress", "")), str(outside)
        return [
            replace(each, private_address=known[each.id][0], public_address=known[each.id][1] or known[each.id][0])
            if each.id in known
            else each
            for each in machines
        ]

    @contextlib.contextmanager
    def _refusals(self, action: str) -> Iterator[None]:
        try:
            yield
        except ApiError as error:
            raise meaning_of(error, f"{self.name}: {action}") from error
