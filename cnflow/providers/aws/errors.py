"""Errors of EC2's API as those of the seam; the table of codes. No I/O.

::

    ClientError ──client──> Failure(code, message, operation) ──error_for──> NoCapacityError      the next placement
                                                                             QuotaError           wait
                                                                             ProviderBusyError    wait
                                                                             BlockRejectedError   never
                                                                             BlockError           no answer, expired
"""

from __future__ import annotations

from typing import NamedTuple

from cnflow.errors import BlockError, BlockRejectedError, NoCapacityError, ProviderBusyError, QuotaError

# Codes: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
NO_CAPACITY = frozenset(
    {
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",  # the type is not offered in that zone
    }
)
_QUOTA = frozenset(
    {
        "AddressLimitExceeded",
        "InstanceLimitExceeded",
        "InternetGatewayLimitExceeded",
        "MaxIOPSLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "PendingVerification",
        "RouteTableLimitExceeded",
        "SecurityGroupLimitExceeded",
        "SubnetLimitExceeded",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
        "VpcLimitExceeded",
    }
)
_BUSY = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})
"""Codes of credentials that were good once: a login makes them so again, without a new run."""

_NO_ANSWER = frozenset({"InternalError", "InternalFailure", "RequestTimeout", "ServiceUnavailable", "Unavailable"})
"""The service failed; whether it did what was asked is unknown."""

_KINDS = ((NO_CAPACITY, NoCapacityError), (_QUOTA, QuotaError), (_BUSY, ProviderBusyError))

NOT_THERE = frozenset({"InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"})

_ADVICE = {
    "AuthFailure": "Check the credentials: aws sts get-caller-identity.",
    "InvalidAMIID.Malformed": "Set image_id of EC2Provider to an AMI of this region.",
    "InvalidAMIID.NotFound": "Images have another id in each region: set image_id to one of this region, or to a "
    "family such as 'ubuntu-24.04'.",
    "InvalidAMIID.Unavailable": "Set image_id of EC2Provider to another image.",
    "InvalidClientTokenId": "Check the credentials: aws sts get-caller-identity.",
    "InvalidGroup.NotFound": "Check security_groups of EC2Provider.",
    "InvalidInstanceType": "Check instance_types of EC2Provider.",
    "InvalidKeyPair.NotFound": "Key pairs belong to one region: check key_name of EC2Provider, or leave it out.",
    "InvalidSubnetID.NotFound": "Check subnets of EC2Provider.",
    "MaxSpotInstanceCountExceeded": "Ask for more at https://console.aws.amazon.com/servicequotas, or wait until other "
    "machines end.",
    "OptInRequired": "The account must subscribe to the image in AWS Marketplace, or to EC2 in this region.",
    "PendingVerification": "AWS verifies the account for this region, which takes minutes to hours.",
    "SignatureDoesNotMatch": "Check the credentials, and the clock of this machine.",
    "UnauthorizedOperation": "Ask for the rights that the page 'Burst to a cloud' lists.",
    "VcpuLimitExceeded": "Ask for more at https://console.aws.amazon.com/servicequotas, or wait until other machines "
    "end.",
    "VPCIdNotSpecified": "The account has no default network in this region: set subnets, or create_network=True.",
}
_RENEW = "Log in again, such as by 'aws sso login'; cnflow reads the new credentials by itself."
_LONGEST = 600
SKEW = 300.0
"""Seconds that the clocks of a caller and of AWS may differ."""


class Failure(NamedTuple):
    """Answer of the API to a call that failed."""

    code: str
    message: str
    operation: str
    status: int = 400
    skew: float = 0.0
    """Seconds by which this machine's clock is ahead of that of the answer."""


def error_for(failure: Failure, where: str) -> BlockError:
    """Return the error that *failure* of a call to *where*, such as ``EC2 in us-east-2``, stands for."""
    words = f"{where} refused {failure.operation}: {failure.message[:_LONGEST].rstrip('. ')} ({failure.code})."
    code = failure.code
    if abs(failure.skew) > SKEW and (code in EXPIRED or code in {"AuthFailure", "SignatureDoesNotMatch"}):
        late = "ahead of" if failure.skew > 0 else "behind"
        return BlockError(
            f"{words} The clock of this machine is {abs(failure.skew):.0f} s {late} that of AWS: set it right."
        )
    if code in EXPIRED:
        return BlockError(f"{words} {_RENEW}")
    advice = f" {_ADVICE[code]}" if code in _ADVICE else ""
    for codes, kind in _KINDS:
        if code in codes:
            return kind(words + advice)
    if code in _NO_ANSWER or failure.status >= 500:  # noqa: PLR2004 - HTTP's class of server errors
        return BlockError(f"{where} failed at {failure.operation}: {failure.message[:_LONGEST]} ({code}).")
    return BlockRejectedError(words + advice)


def code_of(error: BaseException) -> str:
    """Return EC2's code of the failure that *error* stands for; empty where none was answered."""
    answer = getattr(error.__cause__, "response", None) or {}
    return str((answer.get("Error") or {}).get("Code", ""))
