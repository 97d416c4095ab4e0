"""Tokens of machines that boot: each works for one machine."""

from hypothesis import given
from hypothesis import strategies as st

from cnflow.vm_agent.boot_claims import Call, Ruling, entry_name, parse_path, rule_on

TOKEN, NONCE = "0a" * 32, "12345678-1234-1234-1234-123456789abc"
CALL = Call(TOKEN, NONCE, "order")


def test_path_of_a_call_is_parsed():
    assert parse_path(f"/{TOKEN}/{NONCE}/order") == CALL


def test_other_paths_are_no_calls():
    for path in ("/", f"/{TOKEN}/{NONCE}/../key", f"/{TOKEN}/{NONCE}/order/", f"/{TOKEN[1:]}/{NONCE}/order", "/key"):
        assert parse_path(path) is None


@given(st.text(max_size=200))
def test_no_text_breaks_the_parser(text):
    assert parse_path(text) is None


def test_first_machine_claims_its_token():
    assert rule_on(CALL, is_known=True, claimed_by="") == Ruling(True, claims=True)


def test_same_machine_may_ask_again_since_its_connection_may_have_broken():
    assert rule_on(CALL, is_known=True, claimed_by=NONCE) == Ruling(True)


def test_another_machine_is_refused():
    ruling = rule_on(CALL, is_known=True, claimed_by="another")
    assert not ruling.is_allowed
    assert "used before" in ruling.words


def test_unknown_token_claims_nothing():
    ruling = rule_on(CALL, is_known=False, claimed_by="")
    assert (ruling.is_allowed, ruling.claims) == (False, False)


def test_name_of_an_entry_does_not_show_the_token():
    assert TOKEN not in entry_name(TOKEN)
    assert "/" not in entry_name(TOKEN)
