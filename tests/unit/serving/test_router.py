import contextlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow.serving.router import Router
from cnflow.serving.service import ServingError
from cnflow.serving.versions import Load, Moved, Refused, Unload, Version, VersionState


def ready(router, *versions, now=0.0):
    actions = []
    for version in versions:
        if version.name not in router.versions:
            router.add(version, now)
        actions += router.on_loaded(version, now)
    return actions


def of(weight=1.0, name="1", shadow=0.0):
    return Version(name, weight=weight, shadow=shadow)


def calls(router, number, version=""):
    chosen = []
    for _ in range(number):
        each = router.choose(version)
        each.in_flight += 1
        chosen.append(each)
    return chosen


def test_a_model_is_ready_once_its_only_version_is_loaded():
    router, one = Router("digits"), of()
    assert router.add(one, 0.0) == [Load(one)]
    assert not router.is_ready
    assert router.choose() is one, "a call waits for it"
    router.on_loaded(one, 1.0)
    assert router.is_ready


def test_calls_of_a_model_with_a_version_that_loads_go_to_the_one_that_is_ready():
    router, one, two = Router("digits"), of(9, "1"), of(1, "2")
    router.add(one, 0.0)
    router.add(two, 0.0)
    router.on_loaded(one, 0.0)
    assert {each.name for each in calls(router, 20)} == {"1"}
    router.on_loaded(two, 0.0)
    assert Counter(each.name for each in calls(router, 100)) == {"1": 90, "2": 10}


def test_a_canary_that_fails_to_load_gets_no_calls():
    router, one, two = Router("digits"), of(9, "1"), of(1, "2")
    ready(router, one)
    router.add(two, 0.0)
    router.on_failed(two, "no such module", 0.0)
    assert {each.name for each in calls(router, 20)} == {"1"}
    assert router.is_ready
    with pytest.raises(ServingError, match="no such module") as failed:
        router.choose("2")
    assert failed.value.status == 503


def test_a_model_whose_only_version_fails_answers_with_the_reason():
    router, one = Router("digits"), of()
    router.add(one, 0.0)
    router.on_failed(one, "no such module", 0.0)
    with pytest.raises(ServingError, match=r"'1'.*no such module"):
        router.choose()
    assert not router.is_ready
    router.on_loaded(one, 0.0)
    assert router.choose() is one


@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(1, 400))
def test_shares_follow_the_weights_as_closely_as_whole_calls_can(weights, number):
    router = Router("digits")
    ready(router, *(of(weight, str(n)) for n, weight in enumerate(weights)))
    got = Counter(each.name for each in calls(router, number))
    for n, weight in enumerate(weights):
        assert abs(got[str(n)] - number * weight / sum(weights)) <= len(weights)


def test_a_roll_moves_calls_only_when_the_new_version_can_answer():
    router, old, new = Router("digits", keep_previous=60.0), of(name="old"), of(0, "new")
    ready(router, old)
    assert router.roll(new, 1.0) == [Load(new)]
    assert router.pending == {"new": 1.0}
    assert {each.name for each in calls(router, 5)} == {"old"}
    assert router.on_loaded(new, 2.0) == [Moved({"new": 1.0})]
    assert {each.name for each in calls(router, 5)} == {"new"}
    assert router.on_tick(61.0) == []


def test_the_version_before_is_forgotten_after_its_last_call():
    router, old, new = Router("digits", keep_previous=60.0), of(name="old"), of(0, "new")
    ready(router, old)
    calls(router, 2)
    router.roll(new, 0.0)
    router.on_loaded(new, 0.0)
    assert router.on_tick(60.0) == []
    assert old.state is VersionState.DRAINING
    assert router.on_end(old, 61.0) == []
    with pytest.raises(ServingError, match="being removed"):
        router.choose("old")
    assert router.on_end(old, 62.0) == [Unload(old)]
    assert list(router.versions) == ["new"]


def test_a_roll_to_a_version_that_fails_leaves_calls_where_they_are():
    router, old, new = Router("digits"), of(name="old"), of(0, "new")
    ready(router, old)
    router.roll(new, 0.0)
    assert router.on_failed(new, "image lacks module app1", 1.0) == [Refused(new), Unload(new)]
    assert router.pending == {}
    assert {each.name for each in calls(router, 5)} == {"old"}
    assert router.versions["new"].reason == "image lacks module app1"
    again = of(0, "new")
    assert router.roll(again, 2.0) == [Load(again)], "the failed one gives its name free"


def test_a_version_that_has_failed_is_loaded_again_by_a_roll_to_it():
    router, old, new = Router("digits"), of(name="old"), of(0, "new")
    ready(router, old)
    router.roll(new, 0.0)
    router.on_failed(new, "server of weights is down", 1.0)
    assert router.roll(new, 2.0) == [Load(new)]
    assert router.pending == {"new": 1.0}
    assert Moved({"new": 1.0}) in router.on_loaded(new, 3.0)


def test_a_version_that_fails_with_calls_is_unloaded_after_the_last_of_them():
    router, old, new = Router("digits", keep_previous=60.0), of(name="old"), of(0, "new")
    ready(router, old)
    calls(router, 1)
    router.roll(new, 0.0)
    router.on_loaded(new, 1.0)
    router.on_no_workers(old, 2.0, is_scaled=False)
    router.roll_back(3.0)
    assert router.on_failed(old, "server of weights is down", 4.0) == [Refused(old)]
    assert router.on_end(old, 5.0) == [Unload(old)]


def test_rolling_back_is_immediate_while_the_version_before_is_kept():
    router, old, new = Router("digits", keep_previous=60.0), of(name="old"), of(0, "new")
    ready(router, old)
    router.roll(new, 0.0)
    router.on_loaded(new, 1.0)
    assert router.roll_back(30.0) == [Moved({"old": 1.0})]
    assert {each.name for each in calls(router, 5)} == {"old"}
    assert router.on_tick(100.0) == [Unload(new)]
    with pytest.raises(ServingError, match="no earlier version"):
        router.roll_back(101.0)


def test_a_version_that_was_forgotten_is_loaded_before_calls_go_back_to_it():
    router, old, new = Router("digits", keep_previous=0.0), of(name="old"), of(0, "new")
    ready(router, old)
    router.roll(new, 0.0)
    assert Unload(old) in router.on_loaded(new, 1.0)
    assert router.roll_back(2.0) == [Load(old)]
    assert {each.name for each in calls(router, 5)} == {"new"}
    assert Moved({"old": 1.0}) in router.on_loaded(old, 3.0)


def test_rolling_back_while_a_roll_is_under_way_ends_the_roll():
    router, old, new = Router("digits"), of(name="old"), of(0, "new")
    ready(router, old)
    router.roll(new, 0.0)
    assert router.roll_back(1.0) == [Unload(new)]
    assert router.on_loaded(new, 2.0) == []
    assert {each.name for each in calls(router, 5)} == {"old"}


def test_a_second_roll_replaces_one_that_is_under_way():
    router, old, second, third = Router("digits"), of(name="1"), of(0, "2"), of(0, "3")
    ready(router, old)
    router.roll(second, 0.0)
    assert router.roll(third, 1.0) == [Unload(second), Load(third)] or set(router.versions) == {"1", "3"}
    router.on_loaded(third, 2.0)
    assert {each.name for each in calls(router, 5)} == {"3"}


def test_weights_wait_for_the_versions_that_get_any():
    router, one, two = Router("digits"), of(name="1"), of(0, "2")
    ready(router, one)
    router.add(two, 0.0)
    router.set_weights({"1": 0.9, "2": 0.1}, 0.0)
    assert {each.name for each in calls(router, 20)} == {"1"}
    router.on_loaded(two, 1.0)
    assert Counter(each.name for each in calls(router, 20)) == {"1": 18, "2": 2}
    router.set_weights({"1": 1}, 2.0)
    assert {each.name for each in calls(router, 5)} == {"1"}
    assert "2" in router.versions, "weights alone forget no version"
    router.roll_back(3.0)
    assert Counter(each.name for each in calls(router, 20)) == {"1": 18, "2": 2}


@pytest.mark.parametrize(
    ("weights", "status"),
    [
        ({"1": -1}, 400),
        ({"1": 0}, 400),
        ({"9": 1}, 404),
        ({"1": float("nan")}, 400),
        ({"1": float("inf")}, 400),
        ({}, 400),
    ],
)
def test_weights_that_cannot_be_are_refused(weights, status):
    router = Router("digits")
    ready(router, of(name="1"))
    with pytest.raises(ServingError) as refused:
        router.set_weights(weights, 0.0)
    assert refused.value.status == status
    assert router.choose().name == "1"


def test_a_shadow_gets_its_share_of_copies_and_no_calls():
    router, one, two = Router("digits"), of(name="1"), of(0, "2", shadow=0.25)
    ready(router, one, two)
    copies = 0
    for _ in range(100):
        assert router.choose() is one
        copies += len(router.shadows())
    assert copies == 25
    router.set_shadow({}, 0.0)
    assert router.shadows() == []
    with pytest.raises(ServingError, match="from 0 to 1"):
        router.set_shadow({"2": 1.5}, 0.0)


def test_a_version_scaled_to_zero_takes_calls_which_wake_it():
    router, one = Router("digits"), of()
    ready(router, one)
    router.on_no_workers(one, 1.0, is_scaled=True)
    assert one.state is VersionState.ASLEEP
    assert router.is_ready
    assert router.choose() is one
    router.on_waking(one)
    assert one.state is VersionState.LOADING
    router.on_loaded(one, 5.0)
    assert one.ready_since == 5.0


def test_calls_go_to_another_version_while_one_has_lost_its_workers():
    router, one, two = Router("digits"), of(name="1"), of(name="2")
    ready(router, one, two)
    router.on_no_workers(two, 1.0, is_scaled=False)
    assert {each.name for each in calls(router, 6)} == {"1"}


def test_a_version_is_found_by_its_digest():
    router, one = Router("digits"), of(name="0.1")
    ready(router, one)
    router.on_digest(one, "sha256:" + "ab12" * 16, is_named=False)
    assert list(router.versions) == ["ab12ab12ab12"]
    for name in ("ab12ab12ab12", "sha256:" + "ab12" * 16, "ab12ab1", "0.1"):
        assert router.choose(name) is one
    with pytest.raises(ServingError, match="Known: ab12ab12ab12") as unknown:
        router.choose("ab12")
    assert unknown.value.status == 404


def test_a_version_that_gets_calls_is_not_removed():
    router, one, two = Router("digits"), of(name="1"), of(0, "2")
    ready(router, one, two)
    with pytest.raises(ServingError, match="gets calls"):
        router.remove("1", 0.0)
    assert router.remove("2", 0.0) == [Unload(two)]


def test_two_versions_of_one_name_are_refused():
    router = Router("digits")
    ready(router, of(name="1"))
    with pytest.raises(ServingError, match="already"):
        router.roll(of(0, "1"), 0.0)
    assert router.pending == {}


class Rolls(RuleBasedStateMachine):
    """Orders, loads, failures and calls in any order; `loaded` is what an honest warm-up would have."""

    def __init__(self):
        super().__init__()
        self.router, self.now, self.made = Router("digits", keep_previous=5.0), 0.0, 0
        self.loads, self.flying = {}, []
        self.take(self.router.add(self.new(1.0), self.now))
        self.take(self.router.on_loaded(next(iter(self.router.versions.values())), self.now))

    def new(self, weight=0.0):
        self.made += 1
        return Version(f"v{self.made}", weight=weight)

    def take(self, actions):
        for action in actions:
            if isinstance(action, Load):
                self.loads[action.version] = True
            elif isinstance(action, Unload):
                self.loads.pop(action.version, None)

    def order(self, order):
        with contextlib.suppress(ServingError):  # refused, and nothing was changed
            self.take(order())

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.take(self.router.on_tick(self.now))

    @rule()
    def roll(self):
        self.order(lambda: self.router.roll(self.new(), self.now))

    @rule(data=st.data())
    def roll_to_one_that_is_there(self, data):
        version = data.draw(st.sampled_from(list(self.router.versions.values())))
        self.order(lambda: self.router.roll(version, self.now))

    @rule()
    def roll_back(self):
        self.order(lambda: self.router.roll_back(self.now))

    @rule(data=st.data())
    def weights(self, data):
        names = st.sampled_from(list(self.router.versions))
        weights = data.draw(st.dictionaries(names, st.sampled_from([0, 1, 9]), max_size=3))
        self.order(lambda: self.router.set_weights(weights, self.now))

    @rule(data=st.data(), share=st.sampled_from([0.0, 0.5, 1.0]))
    def shadow(self, data, share):
        name = data.draw(st.sampled_from(list(self.router.versions)))
        self.order(lambda: self.router.set_shadow({name: share}, self.now))

    @rule(data=st.data())
    def remove(self, data):
        name = data.draw(st.sampled_from(list(self.router.versions)))
        self.order(lambda: self.router.remove(name, self.now))

    @precondition(lambda self: self.loads)
    @rule(data=st.data(), good=st.booleans())
    def load_ends(self, data, good):
        version = data.draw(st.sampled_from(sorted(self.loads, key=lambda each: each.name)))
        if good:
            self.take(self.router.on_loaded(version, self.now))
        elif version.weight == 0:
            self.take(self.router.on_failed(version, "broken", self.now))

    @precondition(lambda self: self.loads)
    @rule(data=st.data(), scaled=st.booleans())
    def workers_go(self, data, scaled):
        version = data.draw(st.sampled_from(sorted(self.loads, key=lambda each: each.name)))
        self.take(self.router.on_no_workers(version, self.now, is_scaled=scaled))

    @rule()
    def call(self):
        before = any(each.is_usable for each in self.router.versions.values() if each.weight > 0)
        version = self.router.choose()  # there always is one: no roll takes the last one away
        version.in_flight += 1
        self.flying.append(version)
        assert version.is_usable or not before
        if version.state is VersionState.ASLEEP:
            self.router.on_waking(version)

    @precondition(lambda self: self.flying)
    @rule(data=st.data())
    def call_ends(self, data):
        version = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        self.take(self.router.on_end(version, self.now))

    @invariant()
    def versions_with_calls_are_loaded(self):
        for version in self.flying:
            assert version in self.loads

    @invariant()
    def some_version_has_a_share(self):
        shares = [each for each in self.router.versions.values() if each.weight > 0]
        assert shares
        for version in shares:
            assert version in self.loads
            assert version.state not in {VersionState.DRAINING, VersionState.FAILED}

    @invariant()
    def in_flight_is_counted_well(self):
        for version in self.router.versions.values():
            assert version.in_flight == self.flying.count(version)

    @invariant()
    def planned_versions_are_loaded(self):
        for name, weight in self.router.pending.items():
            assert name in self.router.versions
            assert not weight or self.router.versions[name] in self.loads


TestRolls = Rolls.TestCase
TestRolls.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
