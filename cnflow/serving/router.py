"""Chooses the version of a model that answers a call, and moves calls from version to version. No I/O.

::

    add ──> LOADING ──on_loaded──> READY ──retired, or `remove`──> DRAINING ──last call ended──> gone
              │  ^                  │  ^
              │  └──no worker left──┤  │ on_loaded
              └──on_failed──> FAILED┘  │
                                    └──no worker left, and none is kept──> ASLEEP (a call wakes it)

    roll, roll_back, set_weights ──> pending weights ──all of them can answer──> weights: calls move at once
                                           └──one failed──> dropped: calls stay where they are

Rule 1: weights move only to versions that can answer, so that no call waits or fails for a roll. Rule 2: a version is
forgotten only when its last call has ended. Rule 3: every call that names no version gets one that can answer, if there
is any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.serving.choice import Choice
from cnflow.serving.plans import Plan, PlanState
from cnflow.serving.public_words import public_words
from cnflow.serving.service import ServingError
from cnflow.serving.versions import FOREVER, Load, Moved, Refused, Unload, Version, VersionState
from cnflow.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.serving.versions import Action
    from cnflow.units import Seconds

LEAST_DIGITS = 7
"""Digits of a digest that name a version in a call."""

_MOST_HISTORY = 20


class Router:
    """Versions of one model.

    Args:
        model: its name, for messages.
        keep_previous: seconds for which a version stays loaded after a roll has replaced it.
    """

    def __init__(self, model: str, keep_previous: float = 0.0) -> None:
        self.model = model
        self.versions: dict[str, Version] = {}
        self._keep_previous = keep_previous
        self._pending: Plan | None = None
        self._history: list[Mapping[Version, float]] = []
        self._choice = Choice()
        self.last: Plan | None = None
        """The last change of the weights that was ordered; None once it was taken back."""

        self._given_up: set[Version] = set()
        """Versions that have failed, and are unloaded when their last call has ended."""

    # Queries

    @property
    def pending(self) -> Mapping[str, float]:
        """Weights that are to be, once their versions can answer; empty for none."""
        plan = self._pending
        return {} if plan is None else {version.name: weight for version, weight in plan.weights.items()}

    @property
    def is_ready(self) -> bool:
        """Some version can answer, and none with a share is still being loaded."""
        shares = [version for version in self.versions.values() if version.weight > 0]
        loading = any(version.state is VersionState.LOADING for version in shares)
        return not loading and any(version.is_usable for version in shares)

    def find(self, name: str) -> Version:
        """Version of that name, or of an image with that digest, or of which it is the beginning.

        Raises:
            ServingError: there is none.
        """
        found = self.versions.get(name)
        if found is not None:
            return found
        digits = name.removeprefix("sha256:")
        for version in self.versions.values():
            if name in version.aliases or (len(digits) >= LEAST_DIGITS and version.digest.startswith(digits)):
                return version
        known = ", ".join(self.versions)
        hint = did_you_mean(name, self.versions)
        raise ServingError(
            f"Model {self.model!r} has no version {name!r}.{hint} Known: {known}.", 404, "version_not_found"
        )

    # Calls

    def choose(self, name: str = "") -> Version:
        """Version that answers the next call; the caller counts it in `Version.in_flight`, and reports `on_end`.

        Args:
            name: version that the call names; empty lets the weights choose.

        Raises:
            ServingError: there is no such version, or it cannot answer.
        """
        if name:
            return self._named(name)
        chosen = self._choice.next()
        if chosen is None:
            raise self._no_version()
        return chosen

    def shadows(self) -> list[Version]:
        """Versions that get a copy of the call that was just routed."""
        return self._choice.shadows()

    def on_end(self, version: Version, now: Seconds) -> list[Action]:
        """A call of *version* has ended, in whichever way."""
        version.in_flight -= 1
        if version in self._given_up and version.in_flight <= 0:
            self._given_up.discard(version)
            return [Unload(version)]
        return self._retire(now) if version.state is VersionState.DRAINING else []

    # Events of versions

    def on_loaded(self, version: Version, now: Seconds) -> list[Action]:
        """Enough workers have loaded *version*."""
        if version.state is VersionState.DRAINING or self.versions.get(version.name) is not version:
            return []
        if version.state is not VersionState.READY:
            version.ready_since = now
        version.state, version.reason = VersionState.READY, ""
        return self._advance(now)

    def on_failed(self, version: Version, reason: str, now: Seconds) -> list[Action]:
        """*version* cannot be loaded. One that is ready stays so: its other workers have it."""
        if version.state in {VersionState.LOADING, VersionState.ASLEEP}:
            version.state, version.reason = VersionState.FAILED, reason
        return self._advance(now)

    def on_no_workers(self, version: Version, now: Seconds, *, is_scaled: bool) -> list[Action]:
        """No worker is left that has *version*; *is_scaled* if that is wanted, since nobody called it."""
        if version.state in {VersionState.READY, VersionState.LOADING}:
            version.state = VersionState.ASLEEP if is_scaled else VersionState.LOADING
            version.reason = "scaled to zero" if is_scaled else "its workers were lost; others are awaited"
        return self._advance(now)

    def on_waking(self, version: Version) -> None:
        """A call has come for *version*, which was scaled to zero."""
        if version.state is VersionState.ASLEEP:
            version.state, version.reason = VersionState.LOADING, "is woken: no worker has loaded it yet"
            self._refresh()

    def on_digest(self, version: Version, digest: str, *, is_named: bool) -> None:
        """The digest of the image of *version* is known; it is its name from now on, unless the user gave it one."""
        version.digest = digest.rpartition(":")[2]
        if is_named or not version.digest:
            return
        name, number = version.digest[:12], 1
        while name in self.versions and self.versions[name] is not version:
            number += 1
            name = f"{version.digest[:12]}-{number}"
        if self.versions.get(version.name) is version:
            version.aliases = (*version.aliases, version.name)
            version_of = {each.name: each for each in self.versions.values()}
            version_of.pop(version.name)
            version.name = name
            self.versions = {each.name: each for each in (*version_of.values(), version)}

    def on_tick(self, now: Seconds) -> list[Action]:
        """Time has passed: forget versions that were kept long enough."""
        return self._retire(now)

    # Orders

    def add(self, version: Version, now: Seconds) -> list[Action]:
        """Add a version with its weight and shadow, at once; for those that are there from the start.

        Raises:
            ServingError: the model has one of that name.
        """
        self._check_absent(version)
        self.versions[version.name] = version
        self._refresh()
        return [Load(version), *self._advance(now)]

    def roll(self, version: Version, now: Seconds) -> list[Action]:
        """Move all calls to *version*, once it can answer; the ones before are forgotten `keep_previous` later.

        It replaces a roll that is under way.

        Raises:
            ServingError: the model has another version of that name, which has not failed.
        """
        is_there = self.versions.get(version.name) is version
        actions = self._load_again(version) if is_there else self._replace(version)
        return [*actions, *self._plan(Plan({version: 1.0}, retires=True), now)]

    def roll_back(self, now: Seconds) -> list[Action]:
        """End a roll that is under way; without one, return to the weights before the last change.

        Raises:
            ServingError: there are none.
        """
        if self._pending is not None:
            before = self._pending
            self._pending = self.last = None
            return self._abandon(before, now)
        if not self._history:
            raise ServingError(
                f"Model {self.model!r} has no earlier version to go back to.", 409, "no_previous_version"
            )
        weights = self._history.pop()
        actions: list[Action] = []
        for version, weight in weights.items():
            if weight > 0 and self.versions.get(version.name) is not version:
                version.state, version.reason, version.in_flight = VersionState.LOADING, "is loaded again", 0
                actions += self._replace(version)
        return [*actions, *self._plan(Plan(weights, retires=True, is_back=True), now)]

    def set_weights(self, weights: Mapping[str, float], now: Seconds) -> list[Action]:
        """Share calls by *weights*, once the versions that get any can answer; others get none.

        Raises:
            ServingError: a version is unknown, a weight below 0, or none above.
        """
        found = {self.find(name): weight for name, weight in weights.items()}
        if any(not 0 <= weight < FOREVER for weight in found.values()) or not any(found.values()):
            raise ServingError(
                f"Weights of {self.model!r} must be numbers of at least 0, one of them above 0, not {dict(weights)}.",
                400,
                "bad_weights",
            )
        actions: list[Action] = []
        for version, weight in found.items():
            if weight > 0:
                actions += self._load_again(version)
        return [*actions, *self._plan(Plan(found, retires=False), now)]

    def set_shadow(self, shares: Mapping[str, float], now: Seconds) -> list[Action]:
        """Give each version copies of that share of the calls; others get none.

        Raises:
            ServingError: a version is unknown, or a share not from 0 to 1.
        """
        found = {self.find(name): share for name, share in shares.items()}
        if any(not 0 <= share <= 1 for share in found.values()):
            raise ServingError(f"Shares of copies must be from 0 to 1, not {dict(shares)}.", 400, "bad_shadow")
        for version in self.versions.values():
            version.shadow, version.shadow_credit = found.get(version, 0.0), 0.0
        return self._advance(now)

    def remove(self, name: str, now: Seconds) -> list[Action]:
        """Forget a version that has no share, once its calls have ended.

        Raises:
            ServingError: it is unknown, or has a share.
        """
        version = self.find(name)
        if version.weight > 0 or self._is_planned(version):
            raise ServingError(
                f"Version {name!r} of {self.model!r} gets calls. Roll to another version, or set its weight to 0.",
                409,
                "version_in_use",
            )
        version.shadow, version.keep_until = 0.0, now
        return self._retire(now)

    # Plans

    def _plan(self, plan: Plan, now: Seconds) -> list[Action]:
        before, self._pending, self.last = self._pending, plan, plan
        actions = [] if before is None else self._abandon(before, now)
        for version in plan.weights:
            version.keep_until = FOREVER
        return [*actions, *self._advance(now)]

    def _abandon(self, plan: Plan, now: Seconds) -> list[Action]:
        """Forget versions that were loaded for *plan* alone."""
        plan.state = PlanState.REPLACED
        if plan.is_back:
            self._history.append(plan.weights)
        for version in plan.weights:
            if version.weight == 0 and plan.retires and not self._is_planned(version):
                version.keep_until = now
        return self._retire(now)

    def _advance(self, now: Seconds) -> list[Action]:
        plan, actions = self._pending, []
        if plan is not None:
            wanted = [version for version, weight in plan.weights.items() if weight > 0]
            failed = [version for version in wanted if version.state is VersionState.FAILED]
            if failed:
                self._pending = None
                plan.fail(failed[0])
                if plan.is_back:
                    self._history.append(plan.weights)
                actions = [*map(Refused, failed), *self._give_up(plan, failed, now)]
            elif all(version.is_usable for version in wanted):
                self._pending, plan.state = None, PlanState.MOVED
                actions = [self._apply(plan, now)]
        self._refresh()
        return [*actions, *self._retire(now)]

    def _give_up(self, plan: Plan, failed: Sequence[Version], now: Seconds) -> list[Action]:
        """Unload the *failed* versions, which stay listed with their reasons; forget the others of *plan*."""
        for version in plan.weights:
            if version.weight == 0 and plan.retires and version not in failed:
                version.keep_until = now
        given_up = [version for version in failed if version.weight == 0]
        self._given_up.update(version for version in given_up if version.in_flight > 0)
        return [Unload(version) for version in given_up if version.in_flight <= 0]

    def _apply(self, plan: Plan, now: Seconds) -> Action:
        before = {version: version.weight for version in self.versions.values() if version.weight > 0}
        if not plan.is_back and before:
            self._history = [*self._history[-_MOST_HISTORY + 1 :], before]
        for version in self.versions.values():
            weight = plan.weights.get(version, 0.0)
            if version.weight > 0 and weight == 0 and plan.retires:
                version.keep_until = now + self._keep_previous
            version.weight, version.credit = weight, 0.0
        return Moved({version.name: version.weight for version in self.versions.values() if version.weight > 0})

    def _retire(self, now: Seconds) -> list[Action]:
        gone: list[Action] = []
        for version in list(self.versions.values()):
            if version.weight > 0 or version.shadow > 0 or version.keep_until > now or self._is_planned(version):
                continue
            version.state, version.reason = VersionState.DRAINING, "gets no more calls"
            if version.in_flight <= 0:
                del self.versions[version.name]
                gone.append(Unload(version))
        return gone

    def _load_again(self, version: Version) -> list[Action]:
        """Have *version*, which is there, loaded if it has failed or was about to be forgotten."""
        if version.state not in {VersionState.FAILED, VersionState.DRAINING}:
            return []
        version.state, version.reason = VersionState.LOADING, "is loaded again"
        self._given_up.discard(version)
        return [Load(version)]

    def _replace(self, version: Version) -> list[Action]:
        """Put *version* in, in place of a failed one of its name."""
        there = self.versions.get(version.name)
        if there is not None and there.state is VersionState.FAILED and there.weight == 0:
            del self.versions[version.name]
        self._check_absent(version)
        self.versions[version.name] = version
        return [Load(version)]

    def _is_planned(self, version: Version) -> bool:
        return self._pending is not None and version in self._pending.weights

    def _check_absent(self, version: Version) -> None:
        if version.name in self.versions:
            raise ServingError(
                f"Model {self.model!r} has a version {version.name!r} already. Give the new one another name.",
                409,
                "version_exists",
            )

    # Refusals

    def _refresh(self) -> None:
        self._choice = self._choice.among(self.versions.values())

    def _named(self, name: str) -> Version:
        version = self.find(name)
        if version.state is VersionState.FAILED:
            raise self._failed(version)
        if version.state is VersionState.DRAINING:
            raise ServingError(f"Version {name!r} of model {self.model!r} is being removed.", 404, "version_not_found")
        return version

    def _no_version(self) -> ServingError:
        failed = [version for version in self.versions.values() if version.state is VersionState.FAILED]
        if failed:
            return self._failed(failed[0])
        return ServingError(f"Model {self.model!r} has no version that takes calls.", 503, "model_unavailable")

    def _failed(self, version: Version) -> ServingError:
        return ServingError(
            f"Version {version.name!r} of model {self.model!r} cannot be loaded: {public_words(version.reason)}",
            503,
            "model_failed",
        )
