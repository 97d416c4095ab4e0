"""Machines of EC2, in one region: what `cnflow.interfaces.cloud.Cloud` asks of a cloud.

::

    prepare ──once──> image ──> subnets, groups (made where the settings ask for it)
    placements ─────> types of the user, or the cheapest that fit, x zones: spot ones first, then those at full price
    launch ─────────> RunInstances, which a token makes safe to repeat
    list ───────────> DescribeInstances by tags, in all states, all pages
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cnflow.budget.prices import rate_of, types_that_fit
from cnflow.errors import BlockError, BlockRejectedError
from cnflow.model.machine import Machine, MachineRequest, Placement, Rate
from cnflow.providers._shared.machines.judge import LIVING
from cnflow.providers._shared.machines.tags import EXPIRES, network_tags
from cnflow.providers.aws.checks import check_account
from cnflow.providers.aws.client import AWS
from cnflow.providers.aws.errors import NOT_THERE, code_of
from cnflow.providers.aws.images import find_image
from cnflow.providers.aws.machines import machine_of
from cnflow.providers.aws.network import Network
from cnflow.providers.aws.prices import fetch_prices
from cnflow.providers.aws.requests import AMI, Site, instance_for, tag_filters
from cnflow.providers.aws.types import LEAST_MEMORY, Needs, architecture_of, cheapest, patterns, type_of
from cnflow.units import bytes_in

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from cnflow.config.ec2 import EC2Provider
    from cnflow.model.finding import Finding

logger = logging.getLogger(__name__)

_TYPES_AT_MOST = 8
_AT_ONCE = 200
"""Machines that one call ends; AWS advises fewer than 1000."""

_NEW = 60.0
"""Seconds for which EC2 may answer that it has no machine of an id that it has just given,
https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html"""

_NOT_MADE = AMI("ami-of-image_id")
"""Stands for the image in a preview, which asks nothing."""

_INTERCHANGE_TYPE = {"x86_64": "t3.small", "arm64": "t4g.small"}


class EC2Cloud:
    """EC2 of one account and region.

    Args:
        settings: what the user wrote.
        aws: client; None makes it on use.
    """

    def __init__(self, settings: EC2Provider, aws: AWS | None = None) -> None:
        self._settings = settings
        self._aws = aws or AWS(settings.region, settings.profile)
        self.name = self._aws.where
        self._network = Network(self._aws, settings)
        self._lock = threading.Lock()
        self._image: AMI | None = None
        self._site: Site | None = None
        self._types: Sequence[str] | None = None
        self._sizes: dict[str, Rate] = {}
        self._new: dict[str, float] = {}
        """Machines that were started here, with the time."""

    def prepare(self, tags: Mapping[str, str]) -> None:
        """Find the image, subnets and groups once; make the network where the settings ask for it."""
        del tags  # of one run: the network serves all of an owner
        self._prepared()

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Every type in every zone: spot ones before those at full price."""
        architecture = self.find_image().architecture
        zones = self.zones() or [""]
        if for_interchange:
            chosen = self._settings.interchange_type or _INTERCHANGE_TYPE[architecture]
            return [self._placement(chosen, zone, is_spot=False) for zone in zones]
        types = self._types_in_order(architecture)
        ways = [True, False] if self._settings.spot_fallback else [True]
        ways = ways if self._settings.spot else [False]
        return [self._placement(one, zone, is_spot=is_spot) for is_spot in ways for one in types for zone in zones]

    def launch(self, request: MachineRequest) -> Machine:
        """Start one machine; a token that was used for another request names its machine, which tags find."""
        try:
            return self._launch(request)
        except BlockError as error:
            code = code_of(error)
            if code == "IdempotentParameterMismatch":
                return self._launched(request, error)
            if code in {"InvalidSubnetID.NotFound", "InvalidGroup.NotFound"} and not self._settings.subnets:
                with self._lock:  # another run of this owner removed the network: once more, with one of today
                    self._site = None
                return self._launch(request)
            raise

    def list(self, tags: Mapping[str, str]) -> Sequence[Machine]:
        """Machines with all of *tags*; EC2 lists those that ended for about an hour."""
        if not tags:
            return []
        pages = self._aws.pages("describe_instances", {"Filters": tag_filters(tags)}, "Reservations")
        by_subnet = bool(self._settings.subnets)
        found = [machine_of(one, by_subnet=by_subnet) for reservation in pages for one in reservation["Instances"]]
        return [self._with_rate(one) for one in found]

    def terminate(self, ids: Collection[str]) -> Mapping[str, str]:
        """End machines, some hundred in a call; where one of a call is refused, one by one."""
        refused: dict[str, str] = {}
        wanted = [*ids]
        for start in range(0, len(wanted), _AT_ONCE):
            refused |= self._terminate(wanted[start : start + _AT_ONCE])
        return refused

    def console(self, machine: str) -> bytes:
        """Return what the machine has printed; EC2 keeps the last 64 KB, and has it some minutes late on old types."""
        answer = self._console(machine, {"Latest": True})
        return (answer or self._console(machine, {})).encode()

    def remove_shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Remove networks and groups of this owner in which no machine lives."""
        del tags  # of one run: the network serves all of an owner
        with self._lock:
            self._site = None
        return self._network.remove()

    def shared(self, tags: Mapping[str, str]) -> Sequence[str]:
        """Names of networks and groups of this owner."""
        del tags
        return self._network.shared()

    def preview(self, request: MachineRequest) -> Mapping[str, object]:
        """Arguments of RunInstances; the image's id where it is not known yet is a stand-in."""
        return instance_for(request, self._settings, self._site or Site(_NOT_MADE))

    def check(self) -> Sequence[Finding]:
        """Look at credentials, image, network, rights and quotas."""
        return check_account(self._aws, self, self._settings.max_blocks * self._settings.nodes_per_block)

    @property
    def region(self) -> str:
        """Region of the machines, and of the prices."""
        return self._aws.region

    def fetch_prices(self, types: Collection[str]) -> Mapping[str, Mapping[str, float]]:
        """Prices of *types* in this region, by AWS's price list and the history of spot prices."""
        return fetch_prices(self._aws, types)

    def close(self) -> None:
        """Close connections."""
        self._aws.close()

    def dry_run(self, placement: Placement) -> str:
        """Ask whether a machine would be accepted there, starting nothing; return EC2's words if not."""
        request = MachineRequest("cnflow-dry-run", "cnflow-dry-run", placement, network_tags(), "#!/bin/sh\n")
        site = self._site or Site(self.find_image())
        arguments = {**instance_for(request, self._settings, site), "DryRun": True}
        try:
            self._aws.call("run_instances", arguments)
        except BlockError as error:
            return "" if code_of(error) == "DryRunOperation" else str(error)
        return ""

    def find_image(self) -> AMI:
        """Find the image of the machines, once."""
        with self._lock:
            if self._image is None:
                named = self._settings.instance_types
                architecture = architecture_of(named[0]) if named else "x86_64"
                self._image = find_image(self._aws, self._settings, architecture)
            return self._image

    def zones(self) -> Sequence[str]:
        """Zones, or subnets that the user names, in the order in which they are tried; makes no network."""
        if self._site is None and self._settings.create_network:
            return self._settings.zones or self._network.zones_of_region()
        return [*self._prepared().subnets]

    def _prepared(self) -> Site:
        image = self.find_image()
        with self._lock:
            if self._site is None:
                subnets = self._network.subnets()
                self._site = Site(image, subnets, self._network.groups(subnets))
            return self._site

    def _launch(self, request: MachineRequest) -> Machine:
        site = self._prepared()
        if request.is_interchange:
            site = replace(site, interchange_groups=self._network.interchange_groups(site.subnets))
        answer = self._aws.call("run_instances", instance_for(request, self._settings, site))
        machine = machine_of(answer["Instances"][0], by_subnet=bool(self._settings.subnets))
        with self._lock:
            self._new = {one: at for one, at in self._new.items() if time.monotonic() - at < _NEW}
            self._new[machine.id] = time.monotonic()
        return self._with_rate(machine)

    def _is_new(self, machine: str) -> bool:
        """True if *machine* was started so lately that EC2 may not know it yet: then it is not gone."""
        with self._lock:
            return time.monotonic() - self._new.get(machine, -_NEW) < _NEW

    def _launched(self, request: MachineRequest, error: BlockError) -> Machine:
        wanted = {name: value for name, value in request.tags.items() if name != EXPIRES}  # counted from each request
        there = [one for one in self.list(wanted) if one.state in LIVING]
        if not there:
            raise error
        return there[0]

    def _terminate(self, ids: Sequence[str]) -> dict[str, str]:
        try:
            self._aws.call("terminate_instances", {"InstanceIds": [*ids]})
        except BlockError as error:
            if len(ids) == 1:
                return {} if code_of(error) in NOT_THERE and not self._is_new(ids[0]) else {ids[0]: str(error)}
            if not isinstance(error, BlockRejectedError):
                return dict.fromkeys(ids, str(error))
            refused: dict[str, str] = {}
            for one in ids:
                refused |= self._terminate([one])
            return refused
        return {}

    def _console(self, machine: str, options: Mapping[str, Any]) -> str:
        try:
            answer = self._aws.call("get_console_output", {"InstanceId": machine, **options})
        except BlockRejectedError as error:  # Latest is refused for types without Nitro, any for machines that are gone
            logger.debug("No console output of %s: %s", machine, error)
            return ""
        return str(answer.get("Output") or "")

    def _placement(self, instance_type: str, zone: str, *, is_spot: bool) -> Placement:
        return Placement(instance_type, zone, is_spot, self._rate(instance_type, is_spot=is_spot))

    def _with_rate(self, machine: Machine) -> Machine:
        placement = machine.placement
        rate = self._rate(placement.instance_type, is_spot=placement.is_spot)
        return replace(machine, placement=placement._replace(rate=rate))

    def _rate(self, instance_type: str, *, is_spot: bool) -> Rate:
        known = rate_of("ec2", self._aws.region, instance_type, is_spot)
        if not known.cores:
            known = self._sizes.get(instance_type, known)
        own = self._settings.price_per_hour
        return known if own is None else known._replace(usd_per_hour=own)

    def _types_in_order(self, architecture: str) -> Sequence[str]:
        with self._lock:
            if self._types is None:
                self._types = self._settings.instance_types or self._types_that_fit(architecture)
            return self._types

    def _types_that_fit(self, architecture: str) -> Sequence[str]:
        """Types by the price table; where it has none, by EC2's list."""
        wanted = self._settings
        memory = bytes_in(wanted.memory) if wanted.memory else LEAST_MEMORY
        region = self._aws.region
        priced = types_that_fit(
            "ec2", region, cores=wanted.cores or 1, memory=memory, gpus=wanted.gpus, architecture=architecture
        )
        if priced:
            return priced[:_TYPES_AT_MOST]
        needs = Needs(wanted.cores or 1, memory, wanted.gpus, architecture)
        filters = [{"Name": "instance-type", "Values": patterns(needs)}]
        listed = [
            type_of(one) for one in self._aws.pages("describe_instance_types", {"Filters": filters}, "InstanceTypes")
        ]
        found = cheapest(listed, needs, lambda name: rate_of("ec2", region, name, False).usd_per_hour)
        if not found:
            raise BlockRejectedError(
                f"{self.name} has no type of machine for {architecture} with {needs.cores} cores, "
                f"{needs.memory / 2**30:g} GiB of memory and {needs.gpus} GPUs. Ask for less, or set instance_types."
            )
        self._sizes |= {one.name: Rate(None, float(one.cores), float(one.gpus)) for one in found}
        return [one.name for one in found]
