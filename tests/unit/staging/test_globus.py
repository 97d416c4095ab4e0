import string

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cnflow import File
from cnflow.clock import SystemClock
from cnflow.errors import ConfigurationError
from cnflow.staging import GlobusStaging
from cnflow.staging.globus.credentials import find_credentials
from cnflow.staging.globus.events import Cancel, Copy, Done, Failed, Poll, Problem, Status, Submit, Warn
from cnflow.staging.globus.paths import Mapping, Place, place_of
from cnflow.staging.globus.state import Rules, TransferState

A, B = "aaaaaaaa-0000-4000-8000-000000000001", "bbbbbbbb-0000-4000-8000-000000000002"
RULES = Rules(gather=1.0, most_copies=4, active=2, first_poll=1.0, last_poll=8.0, patience=60.0, splits=3)


def copy(number, source=A, **more):
    return Copy(number, Place(source, f"/{number}"), Place(B, f"/to/{number}"), **more)


def started(numbers, state=None):
    """A state with one transfer of these copies, which Globus has accepted at time 1."""
    state = state or TransferState(RULES)
    for number in numbers:
        state.on_copy(copy(number), 0.0)
    (submit,) = state.tick(1.0)
    state.on_submitted(submit.batch, 1.0)
    return state, submit.batch


# Paths


def test_path_of_a_url_is_taken_as_written():
    assert place_of(File(f"globus://{A.upper()}/a b/100%?x#y.txt")) == Place(A, "/a b/100%?x#y.txt")


@pytest.mark.parametrize("url", ["globus://037f054a/x", f"globus://{A}/", f"globus://{A}//"])
def test_url_without_collection_or_file_is_refused(url):
    with pytest.raises(ConfigurationError, match="UUID"):
        GlobusStaging(A).can_stage_in(File(url))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/home/ann/x", "/~/data/x"),
        ("/home/ann/a/../x", "/~/data/x"),
        ("//home/ann/x", "/~/data/x"),
        ("/home/ann", "/~/data/."),
        ("/home/annabel/x", None),
        ("/home/ann/../bob/x", None),
    ],
)
def test_path_of_a_node_is_a_place_only_inside_of_the_mapped_folder(path, found):
    place = Mapping(A, "/~/data", "/home/ann/").to_place(path)
    assert place == (found and Place(A, found))


def test_place_on_another_collection_has_no_path():
    mapping = Mapping(A, "/data", "/mnt")
    assert mapping.to_path(Place(A, "/data/x")) == "/mnt/x"
    assert mapping.to_path(Place(B, "/data/x")) is None


@pytest.mark.parametrize("options", [{"endpoint_uuid": "me#laptop"}, {"local_path": "home"}, {"patience": 0}])
def test_wrong_option_of_the_staging_is_named(options):
    name = next(iter(options))
    with pytest.raises(ConfigurationError, match=name):
        GlobusStaging(**{"endpoint_uuid": A, **options})


# Credentials


def test_application_comes_from_the_option_or_the_environment(tmp_path):
    found = find_credentials(None, None, {"GLOBUS_CLIENT_ID": "i", "GLOBUS_CLIENT_SECRET": "hush", "HOME": "/home/ann"})
    assert found == ("i", "hush", "/home/ann/.globus/app/i/cnflow/tokens.json")
    assert "hush" not in repr(found)
    assert find_credentials("mine", "/t", {"GLOBUS_CLIENT_ID": "i"}) == ("mine", "", "/t")


# Transfers


def test_copies_between_the_same_collections_are_gathered():
    state = TransferState(RULES)
    copies = [copy(0), copy(1), copy(2, source=B)]
    assert [state.on_copy(each, 0.0) for each in copies] == [[], [], []]
    assert state.deadline() == 1.0
    assert state.tick(1.0) == [Submit(0, (copies[0], copies[1])), Submit(1, (copies[2],))]


def test_full_transfer_is_submitted_at_once():
    state = TransferState(RULES)
    actions = [state.on_copy(copy(number), 0.0) for number in range(4)]
    assert actions[3] == [Submit(0, tuple(copy(number) for number in range(4)))]


def test_more_transfers_than_allowed_wait():
    state = TransferState(RULES)
    actions = [action for number in range(12) for action in state.on_copy(copy(number), 0.0)]
    assert [action.batch for action in actions] == [0, 1]
    assert state.progress(11) == "waits for a transfer"
    state.on_submitted(0, 0.0)
    assert state.on_status(0, Status("SUCCEEDED"), 5.0)[-1] == Submit(2, tuple(copy(number) for number in range(8, 12)))


def test_state_is_asked_for_less_and_less_often():
    state, batch = started([0])
    now, pauses = 1.0, []
    for _ in range(7):
        pauses.append(state.deadline() - now)
        now = state.deadline()
        assert state.tick(now) == [Poll(batch)]
        assert state.on_status(batch, Status("ACTIVE"), now) == []
    assert pauses == [1.0, 1.5, 2.25, 3.375, 5.0625, 7.59375, 8.0]


def test_submission_whose_fate_is_unknown_is_sent_again_and_then_given_up():
    state = TransferState(RULES)
    state.on_copy(copy(0), 0.0)
    (submit,) = state.tick(1.0)
    problem = Problem("no route", is_passing=True)
    assert state.on_problem(submit.batch, problem, 1.0) == [Warn("no route It is tried again.")]
    assert state.tick(2.0) == [submit]
    assert state.on_problem(submit.batch, problem, 2.0) == []
    assert state.tick(3.5) == [submit]
    assert state.on_problem(submit.batch, problem, 61.0) == [Failed(0, "no route")]


def test_problem_that_stays_fails_the_copies_at_once():
    state, batch = started([0, 1])
    actions = state.on_problem(batch, Problem("no consent", is_passing=False), 2.0)
    assert actions == [Cancel(batch), Failed(0, "no consent"), Failed(1, "no consent")]


def test_fault_is_logged_once_and_given_up_after_its_patience():
    state, batch = started([0])
    faulty = Status("ACTIVE", is_ok=False, error="is down")
    assert state.on_status(batch, faulty, 2.0) == [Warn("Globus goes on after an error: is down")]
    assert state.on_status(batch, faulty, 61.0) == []
    assert state.on_status(batch, faulty._replace(size=5), 61.5) == []  # it gets on
    assert state.on_status(batch, faulty._replace(size=5), 62.0) == []
    assert "is down" in state.progress(0)
    assert state.on_status(batch, faulty._replace(size=5), 122.0)[0] == Cancel(batch)


def test_skipped_files_fail_alone_and_a_folder_with_its_first_part():
    state = TransferState(RULES)
    for each in (copy(0), copy(1), copy(2, is_folder=True)):
        state.on_copy(each, 0.0)
    state.tick(1.0)
    state.on_submitted(0, 1.0)
    status = Status("SUCCEEDED", skipped={"/1": "FILE_NOT_FOUND", "/2/a": "PERMISSION_DENIED"})
    assert state.on_status(0, status, 2.0) == [
        Done(0),
        Failed(1, "FILE_NOT_FOUND"),
        Failed(2, "/2/a: PERMISSION_DENIED"),
    ]


def test_failed_transfer_is_halved_until_the_bad_file_is_alone():
    state, batch = started([0, 1, 2, 3][:3])
    actions = state.on_status(batch, Status("FAILED", error="QUOTA", copied=frozenset({"/0"})), 2.0)
    assert actions[0] == Done(0)
    one, two = actions[1:]
    state.on_submitted(one.batch, 2.0)
    state.on_submitted(two.batch, 2.0)
    assert state.on_status(one.batch, Status("FAILED", error="QUOTA"), 3.0) == [Failed(1, "QUOTA")]
    assert state.on_status(two.batch, Status("SUCCEEDED"), 3.0) == [Done(2)]


def test_copy_that_fails_has_its_retries_unless_it_fails_for_good():
    state = TransferState(RULES)
    for each in (copy(0, retries=1), copy(1)):
        state.on_copy(each, 0.0)
    state.tick(1.0)
    state.on_submitted(0, 1.0)
    state.on_problem(0, Problem("gone", is_passing=True), 2.0)
    cancel, warning, failed, submit = state.on_problem(0, Problem("gone", is_passing=True), 99.0)
    assert (cancel, type(warning)) == (Cancel(0), Warn)
    assert (failed, submit) == (Failed(1, "gone"), Submit(1, (copy(0),)))
    assert state.on_problem(1, Problem("no consent", is_passing=False), 99.0) == [Failed(0, "no consent")]


def test_cancelled_transfer_is_not_halved():
    state, batch = started([0, 1])
    actions = state.on_status(batch, Status("FAILED", error="CANCELED: by ann"), 2.0)
    assert actions == [Failed(0, "CANCELED: by ann"), Failed(1, "CANCELED: by ann")]


def test_end_cancels_what_was_submitted_and_fails_every_copy():
    state, batch = started([0])
    state.on_copy(copy(1), 2.0)
    words = "the run ended before the transfer did"
    assert state.close() == [Cancel(batch), Failed(1, words), Failed(0, words)]
    assert state.deadline() == float("inf")


class AnyTransfers(RuleBasedStateMachine):
    """Whatever happens: each copy ends once, and the machine always has something to do until then."""

    def __init__(self):
        super().__init__()
        self.state = TransferState(RULES)
        self.now = 0.0
        self.open, self.ended = set(), set()
        self.calls = []

    def act(self, actions):
        for action in actions:
            if isinstance(action, (Done, Failed)):
                assert action.copy in self.open
                self.open.remove(action.copy)
                self.ended.add(action.copy)
            elif isinstance(action, (Submit, Poll)):
                self.calls.append(action)

    @rule(source=st.sampled_from([A, B]))
    def ask(self, source):
        number = len(self.open) + len(self.ended)
        self.open.add(number)
        self.act(self.state.on_copy(copy(number, source), self.now))

    @rule()
    def wait(self):
        if self.state.deadline() < float("inf"):
            self.now = max(self.now, self.state.deadline())
            self.act(self.state.tick(self.now))

    @precondition(lambda self: self.calls)
    @rule(is_passing=st.booleans())
    def fail_a_call(self, is_passing):
        self.act(self.state.on_problem(self.calls.pop(0).batch, Problem("p", is_passing), self.now))

    @precondition(lambda self: self.calls)
    @rule(
        name=st.sampled_from(["ACTIVE", "INACTIVE", "SUCCEEDED", "FAILED"]),
        is_ok=st.booleans(),
        size=st.integers(0, 3),
        copied=st.frozensets(st.sampled_from([f"/{digit}" for digit in string.digits])),
    )
    def answer_a_call(self, name, is_ok, size, copied):
        call = self.calls.pop(0)
        if isinstance(call, Submit):
            self.act(self.state.on_submitted(call.batch, self.now))
        else:
            self.act(self.state.on_status(call.batch, Status(name, is_ok, "e", 0, size, {}, copied), self.now))

    @invariant()
    def nothing_is_forgotten(self):
        if self.open:
            assert self.calls or self.state.deadline() < float("inf")

    def teardown(self):
        self.act(self.state.close())
        assert self.open == set()


TestAnyTransfers = AnyTransfers.TestCase
TestAnyTransfers.settings = settings(max_examples=30, stateful_step_count=30)


# The thread


def test_copies_fail_after_transfers_have_ended_by_an_error(monkeypatch):
    loop = pytest.importorskip("cnflow.staging.globus.loop")

    def refuse(_):
        raise RuntimeError("no reason")

    monkeypatch.setattr(loop, "GlobusClient", refuse)
    options = loop.TransferOptions("a label", encrypt=False)
    transfers = loop.Transfers(find_credentials("id", "tokens", {}), options, Rules(gather=0.0), SystemClock())
    for _ in range(2):
        error = transfers.copy(Place(A, "/x"), Place(B, "/y")).exception(10)
        assert "cnflow's own error: RuntimeError('no reason')" in str(error)
    transfers.close()
