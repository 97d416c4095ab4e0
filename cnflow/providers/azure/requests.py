"""Makes what is sent to Azure, from values alone: asks no cloud and needs no SDK.

A machine is one request: its interface, address and disk are made and removed with it, and carry its tags.
https://learn.microsoft.com/rest/api/compute/virtual-machines/create-or-update
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.config.azure import AzureProvider
    from cnflow.model.machine import MachineRequest

TOKEN = "cnflow-token"  # noqa: S105 - the name of a tag
_URN = 4
_GONE = {"deleteOption": "Delete"}


def group_path(settings: AzureProvider) -> str:
    """Return the path of the resource group."""
    return f"/subscriptions/{settings.subscription_id}/resourceGroups/{settings.resource_group}"


def machines_path(settings: AzureProvider, name: str = "") -> str:
    """Return the path of the machines, or of the one with that *name*."""
    base = f"{group_path(settings)}/providers/Microsoft.Compute/virtualMachines"
    return f"{base}/{name}" if name else base


def machine_for(request: MachineRequest, settings: AzureProvider, password: str = "***") -> dict[str, Any]:  # noqa: S107 - stands for one in a preview
    """Return the body that asks for one machine.

    Args:
        request: for the machine.
        settings: what the user wrote.
        password: of the administrator, where the user gives no key.
    """
    placement, tags = request.placement, tags_of(request, settings)
    properties: dict[str, Any] = {
        "hardwareProfile": {"vmSize": placement.instance_type},
        "storageProfile": {"imageReference": _image(settings.image_id), "osDisk": _disk(settings)},
        "osProfile": _system(request, settings, password),
        "networkProfile": {
            "networkApiVersion": "2022-11-01",
            "networkInterfaceConfigurations": [_interface(request, settings)],
        },
        "diagnosticsProfile": {"bootDiagnostics": {"enabled": True}},
    }
    if placement.is_spot:
        properties |= {"priority": "Spot", "evictionPolicy": "Delete", "billingProfile": {"maxPrice": -1}}
    body: dict[str, Any] = {"location": settings.location, "tags": tags, "properties": properties}
    if placement.zone:
        body["zones"] = [placement.zone]
    if settings.identity:
        body["identity"] = {"type": "UserAssigned", "userAssignedIdentities": {settings.identity: {}}}
    return body


def tags_of(request: MachineRequest, settings: AzureProvider) -> dict[str, str]:
    """Return the tags of a machine."""
    return {**settings.tags, **request.tags, TOKEN: request.token}


def subnet_id(settings: AzureProvider) -> str:
    """Return the id of the subnet."""
    if settings.subnet.startswith("/"):
        return settings.subnet
    network, _, subnet = settings.subnet.partition("/")
    return f"{group_path(settings)}/providers/Microsoft.Network/virtualNetworks/{network}/subnets/{subnet or 'default'}"


def _image(wanted: str) -> Mapping[str, str]:
    parts = wanted.split(":")
    if len(parts) == _URN:
        return dict(zip(("publisher", "offer", "sku", "version"), parts, strict=True))
    return {"id": wanted}


def _disk(settings: AzureProvider) -> dict[str, Any]:
    size = {} if settings.disk_size is None else {"diskSizeGB": settings.disk_size}
    return {"createOption": "FromImage", **_GONE, **size}


def _system(request: MachineRequest, settings: AzureProvider, password: str) -> dict[str, Any]:
    system: dict[str, Any] = {
        "computerName": request.name,
        "adminUsername": settings.admin_user,
        "customData": base64.b64encode(request.user_data.encode()).decode(),
    }
    if settings.ssh_public_key is None:
        return {**system, "adminPassword": password}
    path = f"/home/{settings.admin_user}/.ssh/authorized_keys"
    key = {"path": path, "keyData": settings.ssh_public_key}
    return {**system, "linuxConfiguration": {"disablePasswordAuthentication": True, "ssh": {"publicKeys": [key]}}}


def _interface(request: MachineRequest, settings: AzureProvider) -> dict[str, Any]:
    configuration: dict[str, Any] = {"subnet": {"id": subnet_id(settings)}}
    if request.is_interchange:
        configuration["publicIPAddressConfiguration"] = {
            "name": "outside",
            "properties": dict(_GONE),
            "sku": {"name": "Standard"},
        }
    properties: dict[str, Any] = {
        **_GONE,
        "primary": True,
        "ipConfigurations": [{"name": "inside", "properties": configuration}],
    }
    if settings.security_group:
        properties["networkSecurityGroup"] = {"id": settings.security_group}
    return {"name": "inside", "properties": properties}
