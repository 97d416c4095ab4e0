"""Compute Engine as a cloud: machines of one project, in one region.

::

    launch ── insert, with a request id of the request's token ──> operation ── finish ──> Machine
                │ the id was used before, by an insertion that failed: another id, so that it is tried anew
                └ the name is taken: the same machine, if its labels are those of the request
    list ──── one aggregated list by labels, all zones and pages
                └ a machine that was listed before and is gone: its zone's operations show why (preempted, deleted)
    terminate ── delete, several at once; one that is gone is no error
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from cnflow.errors import BlockError, BlockRejectedError, MissingExtraError, ProviderBusyError
from cnflow.model.block import EndCause
from cnflow.model.machine import Machine, MachineState
from cnflow.providers._shared.machines.judge import LIVING
from cnflow.providers._shared.machines.tags import RUN, is_of
from cnflow.providers.google import instances, network, places, requests
from cnflow.providers.google.checks import findings
from cnflow.providers.google.errors import CallFailedError, Failure, error_for, failed_operation, is_absent
from cnflow.providers.google.images import find_image
from cnflow.providers.google.parallel import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from cnflow.config.google_cloud import GoogleCloudProvider
    from cnflow.model.finding import Finding
    from cnflow.model.machine import MachineRequest, Placement, Rate
    from cnflow.providers.google.client import ComputeClient

_MOST_TRIES = 5
_LISTED_AFTER_END = 600.0
"""Seconds for which a machine that is gone is listed, with the reason."""

_AT_DEADLINE = 90.0
"""Seconds by which the service may be late, or early, to end a machine at its longest life."""

_NAME_IS_TAKEN = 409


def connect(settings: GoogleCloudProvider) -> ComputeClient:
    """Return a client; the SDK is imported here, which takes seconds."""
    with MissingExtraError.for_import("GoogleCloudProvider (kind 'google_cloud')", "gcp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Google's SDK announces that it will leave old Pythons
        from cnflow.providers.google.client import ComputeClient  # noqa: PLC0415 - imports the SDK, an extra
    return ComputeClient(settings)


class GoogleCloud:
    """Machines of a project in the region of *settings*; see `cnflow.interfaces.cloud.Cloud`."""

    def __init__(
        self,
        settings: GoogleCloudProvider,
        connect: Callable[[GoogleCloudProvider], ComputeClient] = connect,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = f"Compute Engine in {settings.region}"
        self._settings, self._connect, self._clock = settings, connect, clock
        self._lock = threading.RLock()
        self._connected: ComputeClient | None = None
        self._zones: Sequence[str] = tuple(settings.zones)
        self._failed: dict[str, str] = {}
        """Token -> operation by which its last insertion failed."""
        self._listed: dict[str, Mapping[str, Any]] = {}
        self._ended: dict[str, tuple[float, Machine]] = {}
        self._ends: dict[str, tuple[EndCause | None, str]] = {}
        """Cause and reason of each end that was found: a machine that stops is listed for a minute."""

    @property
    def _client(self) -> ComputeClient:
        with self._lock:
            if self._connected is None:
                self._connected = self._connect(self._settings)
            return self._connected

    # --- what may be asked for

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Types, in each zone in turn; all of them as spot machines first, where the settings say so."""
        return places.placements_of(self._settings, self.zones(), for_interchange=for_interchange)

    def zones(self) -> Sequence[str]:
        """Zones of the settings, else those of the region that were up at `prepare`, else its usual ones."""
        return self._zones or places.usual_zones(self._settings.region)

    def prepare(self, tags: Mapping[str, str]) -> None:
        """Find the zones and the image, and make the network where the settings ask for one."""
        if not self._zones:
            found = self._pages("list the zones", "ZonesClient", "list")
            self._zones = places.zones_up(found, self._settings.region)
        find_image(self._client, self._settings)
        if self._settings.create_network:
            network.make(self._client, tags)

    # --- machines

    def launch(self, request: MachineRequest) -> Machine:
        """Start one machine, and wait until Compute Engine has found room for it."""
        doing = f"start {request.name}, {request.placement}"
        with self._lock:
            earlier = self._failed.get(request.token, "")
        failure = Failure("", "every insertion with its request id has failed before")
        for _ in range(_MOST_TRIES):
            try:
                operation = self._insert(doing, request, earlier)
            except CallFailedError as error:
                if error.failure.status == _NAME_IS_TAKEN:
                    return self._existing(request, doing)
                raise error_for(error.failure, doing) from error
            with _started(doing):
                found = failed_operation(self._call_finish(doing, operation))
                if found is None:
                    return self._get(request, doing)
            failure, earlier = found, operation.get("id", operation["name"])
            with self._lock:
                self._failed[request.token] = earlier
            if operation.get("status") != "DONE":  # it failed now; one that was done has failed for an earlier request
                break
        raise error_for(failure, doing)

    def _insert(self, doing: str, request: MachineRequest, earlier: str) -> dict[str, Any]:
        body = requests.instance_for(request, self._settings)
        fields: dict[str, Any] = {"project": self._client.project, "zone": request.placement.zone}
        fields |= {"instance_resource": body, "request_id": requests.request_id(request.token, earlier)}
        if template := requests.template_url(self._settings, self._client.project):
            fields["source_instance_template"] = template
        return self._client.call(doing, "InstancesClient", "insert_unary", **fields)

    def _call_finish(self, doing: str, operation: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._client.finish(doing, operation)
        except CallFailedError as error:
            raise error_for(error.failure, doing) from error

    def _existing(self, request: MachineRequest, doing: str) -> Machine:
        machine = self._get(request, doing)
        if not is_of(machine.tags, request.tags):
            raise BlockRejectedError(
                f"The project has another machine of the name {request.name}, which is not of this run."
            )
        if machine.state not in LIVING:  # of this block, when it did not get all of its machines
            raise ProviderBusyError(f"The earlier machine {request.name} has not gone yet.")
        return machine

    def _get(self, request: MachineRequest, doing: str) -> Machine:
        zone = request.placement.zone
        place = {"project": self._client.project, "zone": zone, "instance": request.name}
        try:
            instance = self._client.call(doing, "InstancesClient", "get", **place)
        except CallFailedError as error:
            if not is_absent(error.failure):
                raise error_for(error.failure, doing) from error
            # The insertion has not ended yet, or the machine was deleted since: the next list shows which.
            machine = requests.id_of(zone, request.name)
            return Machine(machine, MachineState.PENDING, dict(request.tags), request.placement)
        return self._note(instance)

    def list(self, tags: Mapping[str, str]) -> Sequence[Machine]:
        """Machines that carry all of *tags*, in all zones, and those that were listed before and are gone."""
        found = self._pages("list machines", "InstancesClient", "aggregated_list", filter=requests.labels_filter(tags))
        machines = [self._note(each) for each in found]
        present = {each.id for each in machines}
        with self._lock:
            gone = [
                (machine, instance)
                for machine, instance in self._listed.items()
                if machine not in present and _has(instance.get("labels", {}), tags)
            ]
        for machine, instance in gone:
            self._on_gone(machine, instance)
        return [*machines, *self._ended_with(tags, present)]

    def _rate(self, kind: str, zone: str, is_spot: bool) -> Rate:  # noqa: FBT001 - a fact of the machine, as in Placement
        return self._settings.rate_of(kind, region=zone.rpartition("-")[0], is_spot=is_spot)

    def _note(self, instance: Mapping[str, Any]) -> Machine:
        machine = instances.machine_of(instance, self._rate)
        if RUN in machine.tags:
            with self._lock:
                self._listed[machine.id] = instance
        if machine.state in {MachineState.STOPPING, MachineState.ENDED}:
            cause, reason = self._end(instance)
            return _with(machine, cause, reason)
        return machine

    def _on_gone(self, machine: str, instance: Mapping[str, Any]) -> None:
        cause, reason = self._end(instance)
        seen = instances.machine_of({**instance, "status": "TERMINATED"}, self._rate)
        seen = dataclasses.replace(seen, is_kept=False)
        with self._lock:
            if self._listed.pop(machine, None) is not None:
                self._ended[machine] = (self._clock(), _with(seen, cause, reason or "it is gone"))

    def _end(self, instance: Mapping[str, Any]) -> tuple[EndCause | None, str]:
        """Return cause and reason of the end of *instance*, by the operations on it."""
        known = str(instance.get("id") or instance.get("selfLink", ""))
        with self._lock:
            if known in self._ends:
                return self._ends[known]
        found = self._asked_end(instance)
        if any(found):
            with self._lock:
                self._ends[known] = found
        return found

    def _asked_end(self, instance: Mapping[str, Any]) -> tuple[EndCause | None, str]:
        zone = requests.last_part(instance.get("zone", ""))
        wanted = f'(targetLink = "{instance.get("selfLink", "")}")'
        operations = self._pages("read operations", "ZoneOperationsClient", "list", zone=zone, filter=wanted)
        accounts = [each.get("email", "") for each in instance.get("serviceAccounts") or ()]
        cause, reason = instances.end_of(operations, accounts)
        deadline = instances.deadline_of(instance)
        if cause is None and deadline is not None and abs(self._clock() - deadline) < _AT_DEADLINE:
            return EndCause.WALLTIME, "it reached its longest life (maxRunDuration)"
        return cause, reason

    def _ended_with(self, tags: Mapping[str, str], present: Collection[str]) -> Sequence[Machine]:
        now = self._clock()
        with self._lock:
            self._ended = {
                key: (since, machine)
                for key, (since, machine) in self._ended.items()
                if now - since < _LISTED_AFTER_END and key not in present
            }
            return [machine for _, machine in self._ended.values() if _has(machine.tags, tags)]

    def terminate(self, ids: Collection[str]) -> Mapping[str, str]:
        """Delete machines, with their disks."""
        refused: dict[str, str] = {}

        def delete(machine: str) -> None:
            zone, name = requests.zone_and_name(machine)
            place = {"project": self._client.project, "zone": zone, "instance": name}
            try:
                self._client.call(f"delete {name}", "InstancesClient", "delete_unary", **place)
            except CallFailedError as error:
                if not is_absent(error.failure):
                    refused[machine] = str(error_for(error.failure, f"delete {name}"))
                    return
            with self._lock:
                status = self._listed.get(machine, {}).get("status")
                if not instances.is_ending(status):  # of one that had ended by itself, the reason is listed on
                    self._listed.pop(machine, None)

        for_each(delete, ids)
        return refused

    def console(self, machine: str) -> bytes:
        """Return the output of the first serial port, at most the last MiB."""
        zone, name = requests.zone_and_name(machine)
        place = {"project": self._client.project, "zone": zone, "instance": name}
        try:
            found = self._client.call("read its console", "InstancesClient", "get_serial_port_output", **place)
        except CallFailedError as error:
            if is_absent(error.failure):
                return b""
            raise error_for(error.failure, f"read the console of {name}") from error
        return str(found.get("contents", "")).encode()

    # --- networks, and the rest

    def remove_shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Remove the networks that `create_network` made, unless a machine is in one."""
        return network.remove(self._client, tags)

    def shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Names of these networks."""
        return network.names(self._client, tags)

    def preview(self, request: MachineRequest) -> Mapping[str, object]:
        """The instance, as the REST API takes it."""
        return requests.instance_for(request, self._settings)

    def check(self) -> Sequence[Finding]:
        """Findings on credentials, image, zones and quotas."""
        return findings(self, self._settings, self._client)

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._connected = self._connected, None
        if client is not None:
            client.close()

    def _pages(self, doing: str, client: str, method: str, **request: Any) -> Sequence[dict[str, Any]]:  # noqa: ANN401 - fields
        try:
            return self._client.pages(doing, client, method, project=self._client.project, **request)
        except CallFailedError as error:
            raise error_for(error.failure, doing) from error


@contextlib.contextmanager
def _started(doing: str) -> Iterator[None]:
    """Raise errors of what follows an insertion that was accepted as ones that leave open whether it has worked."""
    try:
        yield
    except BlockError as error:
        raise BlockError(f"Compute Engine may have been able to {doing}, which is not known: {error}") from error


def _has(labels: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in tags.items())


def _with(machine: Machine, cause: EndCause | None, reason: str) -> Machine:
    return dataclasses.replace(machine, cause=cause, reason=reason or machine.reason)
