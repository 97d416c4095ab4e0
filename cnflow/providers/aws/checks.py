"""Findings of `cnflow doctor` and `cnflow plan` on an account of AWS. Starts nothing.

::

    credentials ──no──> one finding, no more are looked for
         │yes
         ├── image ──> types ──> network    as `prepare` and `placements` find them; a network is not made
         ├── rights                         RunInstances with DryRun
         └── quota of vCPUs                 Service Quotas, which not every role may ask
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

from cnflow.errors import BlockError
from cnflow.model.finding import Finding, Verdict
from cnflow.providers.aws.errors import code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cnflow.model.machine import Placement
    from cnflow.providers.aws.client import AWS
    from cnflow.providers.aws.requests import AMI

# Quotas of vCPUs by the first letters of a type: on demand, spot.
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
_QUOTAS: Mapping[str, tuple[str, str]] = {
    "standard": ("L-1216C47A", "L-34B43A08"),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "p": ("L-417A185B", "L-7212CCBC"),
    "inf": ("L-1945791B", "L-B5D1601B"),
    "x": ("L-7295265B", "L-E3A00192"),
}
_STANDARD = frozenset("acdhimrtz")
"""First letters of types that count against one quota, such as m, c, im and is."""
_NO_QUESTION = "The quota could not be asked for: "


def quota_of(placement: Placement) -> str:
    """Return the code of the quota of vCPUs that *placement* counts against; empty if it is not known. Pure."""
    letters = re.match(r"[a-z]+", placement.instance_type)
    family = letters[0] if letters else ""
    usual = "standard" if family[:1] in _STANDARD else family[:1]
    codes = _QUOTAS.get(family) or _QUOTAS.get(usual)
    return codes[placement.is_spot] if codes else ""


class Account(Protocol):
    """Cloud of the settings, which is looked at."""

    def find_image(self) -> AMI:
        """Find the image of the machines."""

    def zones(self) -> Sequence[str]:
        """Find the zones, or subnets, of the machines; makes none."""

    def placements(self, *, for_interchange: bool = False) -> Sequence[Placement]:
        """Find the types."""

    def dry_run(self, placement: Placement) -> str:
        """Return EC2's words if it would refuse a machine; empty if it would start one."""


def check_account(aws: AWS, account: Account, machines: int) -> list[Finding]:
    """Look at all that *machines* of *account* need; what depends on something bad is not looked at."""
    found = [credentials(aws)]
    if found[-1].verdict is Verdict.GOOD:
        found.append(looked_up("AWS: image of the machines", lambda: _words(account.find_image())))
    if found[-1].verdict is Verdict.GOOD:
        found.append(looked_up("AWS: network", lambda: ", ".join(account.zones()) or "the default one"))
    if found[-1].verdict is not Verdict.GOOD:
        return found
    try:
        offered = account.placements()
        return [*found, rights(account.dry_run(offered[0])), *quotas(aws, offered, machines)]
    except BlockError as error:
        return [*found, Finding("AWS: types of machines", Verdict.BAD, str(error))]


def _words(image: AMI) -> str:
    return f"{image.id}, {image.name or 'without a name'}, {image.architecture}"


def credentials(aws: AWS) -> Finding:
    """Look at the credentials."""
    try:
        answer = aws.call("get_caller_identity", {}, service="sts")
        where = aws.where
    except BlockError as error:
        return Finding("AWS: credentials", Verdict.BAD, str(error), "Run: aws sts get-caller-identity")
    return Finding("AWS: credentials", Verdict.GOOD, f"{answer.get('Arn')}, {where}")


def looked_up(about: str, look: Callable[[], str]) -> Finding:
    """Return what *look* finds, or its error."""
    try:
        return Finding(about, Verdict.GOOD, look())
    except BlockError as error:
        return Finding(about, Verdict.BAD, str(error))


def rights(words: str) -> Finding:
    """Return the finding of a dry run that EC2 answered by *words*; empty is success."""
    if not words:
        return Finding("AWS: rights", Verdict.GOOD, "RunInstances would be accepted (dry run)")
    return Finding("AWS: rights", Verdict.BAD, words)


def quotas(aws: AWS, placements: Sequence[Placement], machines: int) -> list[Finding]:
    """Look at the quotas of the vCPUs of *machines* of the first of *placements* of each price."""
    found = []
    for placement in {one.is_spot: one for one in reversed(placements)}.values():
        if not (code := quota_of(placement)):
            continue
        about = f"AWS: quota of {'spot' if placement.is_spot else 'on-demand'} vCPUs"
        try:
            quota = aws.call("get_service_quota", {"ServiceCode": "ec2", "QuotaCode": code}, "service-quotas")
        except BlockError as error:
            found.append(Finding(about, Verdict.ABSENT, _NO_QUESTION + (code_of(error) or str(error))))
            continue
        limit, wanted = float(quota["Quota"]["Value"]), placement.rate.cores * machines
        words = f"{limit:g}, of which {machines} x {placement.instance_type} take {wanted:g}"
        advice = "Ask for more at https://console.aws.amazon.com/servicequotas, or lower max_blocks."
        verdict = Verdict.GOOD if wanted <= limit else Verdict.BAD
        found.append(Finding(about, verdict, words, "" if wanted <= limit else advice))
    return found
