"""The meter of a budget: what is counted, what is allowed, and that the limit holds whatever happens."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnflow.budget.amounts import Amounts, Billing, Limit, per_second, render
from cnflow.budget.meter import UNLIMITED, Meter, Others
from cnflow.model.machine import Rate
from cnflow.units import Seconds

HOURLY = Rate(3.6, 4, 1)  # a tenth of a cent, and 4 core seconds, each second
VM = Billing(HOURLY, Seconds(60), Seconds(30), Seconds(60), Seconds(5))


def at(seconds: float) -> Seconds:
    return Seconds(float(seconds))


def meter(usd: float | None = None, core_hours: float | None = None, drain_time: float = 60) -> Meter:
    return Meter(Limit(usd, core_hours), at(drain_time))


def test_block_is_charged_by_the_second_from_its_request_on() -> None:
    one = meter(usd=10)
    one.on_opened("a", VM, at(100))
    assert one.spent(at(200)).usd == pytest.approx(0.1)
    assert one.spent(at(200)).core_hours == pytest.approx(400 / 3600)


def test_block_is_charged_for_its_shutdown_unless_its_end_is_confirmed() -> None:
    one = meter(usd=10)
    one.on_opened("a", VM, at(0))
    one.on_opened("b", VM, at(0))
    one.on_closed("a", at(100))
    one.on_closed("b", at(100), is_confirmed=True)
    assert one.spent(at(1000)).usd == pytest.approx(0.13 + 0.1)


def test_short_block_is_charged_for_the_shortest_time_that_is_paid() -> None:
    one = meter(usd=10)
    one.on_opened("a", VM, at(0))
    one.on_closed("a", at(1), is_confirmed=True)
    assert one.spent(at(1000)).usd == pytest.approx(0.06)


def test_end_within_the_shortest_time_that_is_paid_costs_no_more_than_it() -> None:
    one = meter(usd=10)
    one.on_opened("a", VM, at(0))
    assert one.committed(at(10)).usd == pytest.approx(0.06)
    assert one.committed(at(40)).usd == pytest.approx(0.07)
    for number in range(300):  # so many young ones are not looked at one by one
        one.on_opened(number, VM, at(0))
    assert one.committed(at(10)).usd > 301 * 0.06


def test_rate_of_the_chosen_machines_holds_from_the_start_of_the_block() -> None:
    one = meter(usd=10)
    one.on_opened("a", VM, at(0))
    one.on_opened("a", VM, at(50), Rate(1.8, 2))
    assert one.spent(at(100)).usd == pytest.approx(0.05)
    one.on_opened("a", VM, at(60), Rate(None, 2))
    assert one.spent(at(100)).usd == pytest.approx(0.1)


def test_block_that_was_never_started_costs_nothing() -> None:
    one = meter(usd=10)
    one.on_opened("a", VM, at(0))
    one.on_dropped("a")
    one.on_closed("a", at(50))
    assert one.spent(at(100)) == Amounts()


def test_provider_that_costs_nothing_is_not_limited() -> None:
    one = meter(usd=0.0001)
    assert one.rule(Billing(Rate(0.0, 8)), at(0)) is UNLIMITED


def test_blocks_are_allowed_as_long_as_all_can_start_work_and_end_within_the_limit() -> None:
    one = meter(usd=1.0)  # 1000 s of a block; one more takes 2 * 60 + 60 + 4 * 5 + 30 s
    assert one.rule(VM, at(0)).further == 4
    for name in "abcd":
        one.on_opened(name, VM, at(0))
    ruling = one.rule(VM, at(0))
    assert (ruling.further, ruling.is_final) == (0, False)
    assert "$0.00 of the budget of $1.00 are spent, and the rest is too little for one more block" in ruling.reason


def test_budget_that_is_too_small_for_any_block_is_final_at_once() -> None:
    ruling = meter(usd=0.1).rule(VM, at(0))
    assert (ruling.further, ruling.is_final) == (0, True)
    assert "at $3.60 per hour" in ruling.reason


def test_blocks_drain_before_the_limit_and_end_at_it_and_none_starts_after_that() -> None:
    one = meter(usd=1.0)
    one.on_opened("a", VM, at(0))
    stages = [(second, one.rule(VM, at(second))) for second in range(0, 1000, 5)]
    drains = next(second for second, ruling in stages if ruling.drains)
    ends = next(second for second, ruling in stages if ruling.ends)
    assert 1000 - 30 - 60 - 15 <= drains <= 1000 - 30 - 60  # its shutdown is kept, and the time to drain
    assert 1000 - 30 - 15 <= ends <= 1000 - 30
    one.on_closed("a", at(drains + 5), is_confirmed=True)
    after = one.rule(VM, at(drains + 10))
    assert (after.further, after.is_final) == (0, True)


def test_block_in_a_queue_is_not_charged_and_keeps_its_room() -> None:
    one = meter(usd=1.0)
    for name in "ab":
        one.on_queued(name, VM, at(0))
    assert one.rule(VM, at(500)).further == 2
    assert one.spent(at(500)) == Amounts()
    one.on_opened("a", VM, at(500))
    one.on_queued("a", VM, at(510))
    assert one.spent(at(600)).usd == pytest.approx(0.1)
    one.on_closed("b", at(600))
    assert one.spent(at(600)).usd == pytest.approx(0.1)


def test_blocks_in_a_queue_are_withdrawn_when_the_rest_is_too_little_for_their_start() -> None:
    one = meter(usd=1.0)
    one.on_queued("a", VM, at(0))
    one.on_opened("b", VM, at(0))
    stages = [(second, one.rule(VM, at(second))) for second in range(0, 1000, 5)]
    withdraws = next(second for second, ruling in stages if ruling.withdraws)
    drains = next(second for second, ruling in stages if ruling.drains)
    assert 700 < withdraws < drains
    assert not next(ruling for second, ruling in stages if second == withdraws).is_final


def test_core_hours_are_limited_where_no_dollar_is_spent() -> None:
    one = meter(core_hours=1.0)  # 900 s of 4 cores
    free = VM._replace(rate=Rate(0.0, 4))
    assert one.rule(free, at(0)).further == 3
    one.on_opened("a", free, at(0))
    assert one.rule(free, at(880)).ends


def test_user_is_warned_once_when_four_fifths_are_spent() -> None:
    one = meter(usd=1.0)
    one.on_opened("a", VM, at(0))
    assert one.notices(at(790)) == []
    assert one.notices(at(801)) == ["$0.801 of the budget of $1.00 are spent"]
    assert one.notices(at(900)) == []


def test_new_day_begins_with_what_runs_and_without_what_was_spent() -> None:
    one = meter(usd=1.0)
    one.on_opened("a", VM, at(0))
    assert one.rule(VM, at(965)).ends
    one.on_new_day(at(970))
    assert one.spent(at(980)).usd == pytest.approx(0.01)
    assert one.rule(VM, at(980)).further == 3


def test_spending_of_other_runs_counts() -> None:
    one = meter(usd=1.0)
    one.on_others(Others(Amounts(0.5), per_second(HOURLY), Amounts(0.03), at(0)))
    assert one.spent(at(10)).usd == pytest.approx(0.51)
    assert one.rule(VM, at(0)).further == 1


def test_amounts_are_rendered_with_their_unit() -> None:
    assert [render("usd", 12.345), render("usd", 0.0831), render("usd", 0)] == ["$12.35", "$0.0831", "$0.00"]
    assert render("gpu_hours", 1.25) == "1.25 gpu hours"


# Whatever happens: blocks of several providers come, go, linger after their order to end, and fail


class World:
    """Blocks that cost money as slowly to end as their billing allows; knows what they truly cost."""

    def __init__(self, limit: float, chance: random.Random) -> None:
        self.chance = chance
        self.meter = meter(usd=limit, drain_time=chance.choice([0, 30, 300]))
        self.billings = [self.make_billing() for _ in range(chance.randint(1, 3))]
        self.next_look = [0.0] * len(self.billings)
        self.runs: dict[int, tuple[int, float]] = {}
        self.queue: dict[int, int] = {}
        self.cost = 0.0
        self.number = 0

    def make_billing(self) -> Billing:
        draw = self.chance.uniform
        period = self.chance.choice([0.2, 5, 30])
        rate = Rate(draw(0.1, 40), 1)
        times = at(draw(0, 120)), at(draw(0, 90)), at(draw(0, 60)), at(period)
        return Billing(rate, *times, is_queue_free=self.chance.random() < 0.5)

    def end(self, key: int, now: float, *, is_ordered: bool) -> None:
        which, since = self.runs.pop(key)
        billing = self.billings[which]
        rest = self.chance.uniform(0, billing.shutdown) if is_ordered else 0.0
        paid = max(now + rest - since, self.chance.uniform(0, billing.minimum))
        self.cost += (billing.rate.usd_per_hour or 0) / 3600 * paid
        self.meter.on_closed(key, at(now), is_confirmed=not is_ordered)

    def look(self, which: int, now: float) -> None:
        billing = self.billings[which]
        ruling = self.meter.rule(billing, at(now))
        mine = [key for key, (owner, _) in self.runs.items() if owner == which]
        for key in mine:
            is_free = ruling.drains and self.chance.random() < 0.3  # its tasks are done
            if ruling.ends or is_free:
                self.end(key, now, is_ordered=True)
        if ruling.withdraws:
            for key in [key for key, owner in self.queue.items() if owner == which]:
                del self.queue[key]
                self.meter.on_closed(key, at(now))
        further = 5 if ruling.further is None else ruling.further
        for _ in range(min(further, self.chance.randint(0, 3))):
            self.number += 1
            if billing.is_queue_free:
                self.queue[self.number] = which
                self.meter.on_queued(self.number, billing, at(now))
            else:
                self.runs[self.number] = which, now
                self.meter.on_opened(self.number, billing, at(now))

    def start(self, now: float) -> None:
        """Start some of the blocks in queues; each is noticed at the next look of its own provider."""
        for key, which in list(self.queue.items()):
            if self.chance.random() < 0.2:
                del self.queue[key]
                self.runs[key] = which, now
                self.meter.on_opened(key, self.billings[which], at(now))

    def true_cost(self, now: float) -> float:
        open_ones = sum((self.billings[w].rate.usd_per_hour or 0) / 3600 * (now - s) for w, s in self.runs.values())
        return self.cost + open_ones


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.floats(0.01, 20))
def test_no_course_of_blocks_spends_more_than_the_limit(seed: int, limit: float) -> None:
    chance = random.Random(seed)
    world = World(limit, chance)
    now = 0.0
    for _ in range(300):
        which = min(range(len(world.billings)), key=world.next_look.__getitem__)
        now = world.next_look[which]
        world.start(now)
        world.look(which, now)
        assert world.true_cost(now) <= limit + 1e-9
        assert world.meter.spent(at(now)).usd >= world.true_cost(now) - 1e-6
        if world.runs and chance.random() < 0.05:
            world.end(chance.choice(list(world.runs)), now, is_ordered=False)
        world.next_look[which] = now + chance.uniform(0.1, 1.0) * world.billings[which].poll_period


def test_ruling_costs_the_same_for_ten_thousand_blocks() -> None:
    one = meter(usd=1e9)
    for number in range(10_000):
        one.on_opened(number, VM, at(number))
    for number in range(0, 10_000, 2):
        one.on_closed(number, at(20_000), is_confirmed=True)
    expected = sum((20_000 - n) for n in range(0, 10_000, 2)) + sum((20_000 - n) for n in range(1, 10_000, 2))
    assert one.spent(at(20_000)).usd == pytest.approx(expected / 1000, rel=1e-9)
    for number in range(1, 10_000, 2):
        one.on_closed(number, at(20_000), is_confirmed=True)
    assert one.burn == Amounts()
