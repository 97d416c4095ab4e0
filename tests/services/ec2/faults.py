"""Faults and limits that tests set, each for the calls of one access key. No I/O.

::

    Faults.add(key, {"action": "RunInstances", "code": "RequestLimitExceeded", "status": 503, "times": 2})
    call of that key ──take(key, action)──> the fault, until its times are used
                     ──room(key, ...)─────> why no machine is to be had; "" if one is
"""

import fnmatch


class Faults:
    """All faults and limits, by access key."""

    def __init__(self):
        self._faults, self._limits = {}, {}

    def add(self, key, fault):
        """Have calls of *key* fail: ``action`` may have ``*``; ``after`` fails when the call was done."""
        self._faults.setdefault(key, []).append({"action": "*", "times": 1, **fault})

    def limit(self, key, limit):
        """Let *key* have ``n`` machines of ``zone``, ``type`` and ``spot``; ``code`` is the refusal's."""
        self._limits.setdefault(key, []).append(limit)

    def clear(self, key):
        self._faults.pop(key, None)
        self._limits.pop(key, None)

    def take(self, key, action):
        for fault in self._faults.get(key, ()):
            if fault["times"] > 0 and fnmatch.fnmatchcase(action, fault["action"]):
                fault["times"] -= 1
                return fault
        return None

    def room(self, key, wanted, there):
        """Code and words of the refusal of a machine like *wanted*, while those *there* live; None if there is room."""
        for limit in self._limits.get(key, ()):
            named = {name: limit[name] for name in ("zone", "type", "spot") if name in limit}
            if any(wanted[name] != value for name, value in named.items()):
                continue
            used = sum(all(one[name] == value for name, value in named.items()) for one in there)
            if used >= limit.get("n", 0):
                return limit.get("code", "InsufficientInstanceCapacity"), words_of(limit, wanted)
        return None


def words_of(limit, wanted):
    if "message" in limit:
        return limit["message"]
    if wanted["spot"]:
        return "There is no Spot capacity available that matches your request."
    return (
        f"We currently do not have sufficient {wanted['type']} capacity in the Availability Zone you requested "
        f"({wanted['zone']}). Our system will be working on provisioning additional capacity."
    )
