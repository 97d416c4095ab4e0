"""Local blocks whose provider hangs, forgets, loses answers and answers late."""

import random
from typing import Literal

from cnflow.config import LocalProvider
from cnflow.providers.local.provider import LocalBackend
from cnflow.testing import Fault, FaultyProvider, RandomFaults

SECONDS = 0.5
"""Time of a call that is late; one that hangs takes as long as 20 of these."""

RATES = {
    "submit": {Fault.LATE: 0.2, Fault.HANG: 0.05, Fault.LOSE: 0.1, Fault.FAIL: 0.05, Fault.FORGET: 0.05},
    "find": {Fault.LATE: 0.1, Fault.FAIL: 0.1},
    "status": {Fault.LATE: 0.05, Fault.HANG: 0.005, Fault.FAIL: 0.05, Fault.FORGET: 0.05},
    "cancel": {Fault.LATE: 0.2, Fault.LOSE: 0.1, Fault.FAIL: 0.05},
}


class FaultyLocalBackend(FaultyProvider):
    """Live half of `FaultyLocalProvider`."""

    def __init__(self, settings):
        faults = RandomFaults(random.Random(settings.seed), RATES)
        super().__init__(LocalBackend(settings), faults, SECONDS, longest=20 * SECONDS)


class FaultyLocalProvider(LocalProvider):
    """Settings of local blocks with faults."""

    backend = FaultyLocalBackend
    kind: Literal["faulty local"] = "faulty local"
    seed: int = 0
