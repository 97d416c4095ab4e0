"""Providers that are passed over, and when the tasks of their executor fail."""

from cnflow.blocks.several.trouble import Troubles
from cnflow.errors import BlockError, BlockRejectedError, BudgetError


def none():
    return False


def test_provider_is_asked_again_after_longer_and_longer_pauses():
    troubles, now = Troubles(["a", "b"]), 0.0
    for pause in (300, 600, 1200, 2400, 3600, 3600):
        assert troubles.on_given_up("a", BlockError("no"), now)
        assert troubles.is_passed_over("a", now + pause - 1)
        now += pause
        assert not troubles.is_passed_over("a", now)
    troubles.on_works("a")
    troubles.on_given_up("a", BlockError("no"), now)
    assert not troubles.is_passed_over("a", now + 300)


def test_refusal_for_good_lasts_for_the_run():
    troubles = Troubles(["a", "b"])
    troubles.on_given_up("a", BlockRejectedError("no such queue"), 0.0)
    assert troubles.reason("a", 1e9) == "no such queue"
    assert not troubles.on_given_up("a", BlockError("again"), 5.0)


def test_tasks_fail_when_no_provider_is_left_and_none_has_a_block():
    troubles = Troubles(["a", "b"])
    troubles.on_given_up("a", BlockError("x"), 0.0)
    assert troubles.verdict(1.0, none) is None
    troubles.on_given_up("b", BlockRejectedError("y"), 0.0)
    assert troubles.verdict(1.0, lambda: True) is None
    verdict = troubles.verdict(1.0, none)
    assert type(verdict) is BlockError
    assert str(verdict).splitlines()[1:] == ["a: x", "b: y"]


def test_spent_budget_of_all_is_the_error_of_the_tasks():
    troubles = Troubles(["a", "b"])
    for label in ("a", "b"):
        troubles.on_given_up(label, BudgetError("spent"), 0.0)
    assert isinstance(troubles.verdict(1.0, none), BudgetError)
