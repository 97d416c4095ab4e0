"""A store that is fed by lists and watches has what the server has, whatever is missed in between."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cnflow.kubernetes_api.object_store import ObjectStore

NAMES = st.sampled_from("abc")


def one(name, version, **more):
    return {"metadata": {"name": name, "resourceVersion": version}, **more}


def event(kind, name, version):
    return {"type": kind, "object": one(name, version)}


EXPIRED = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}


def listed(*objects, version="5"):
    store = ObjectStore()
    store.on_listed(objects, version)
    return store


def test_new_store_must_list():
    assert ObjectStore().must_list
    assert not listed().must_list


def test_events_change_objects_and_the_version():
    store = listed(one("a", "1"))
    assert store.on_event(event("ADDED", "b", "6"))
    assert store.on_event(event("MODIFIED", "a", "7"))
    assert store.on_event(event("DELETED", "b", "8"))
    assert (store.objects(), store.version) == ({"a": one("a", "7")}, "8")


def test_bookmark_moves_the_version_alone():
    store = listed(one("a", "1"))
    assert not store.on_event({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}})
    assert (store.objects(), store.version) == ({"a": one("a", "1")}, "9")


def test_version_that_is_too_old_asks_for_a_list_and_keeps_the_objects():
    store = listed(one("a", "1"))
    assert not store.on_event(EXPIRED)
    assert store.must_list
    assert store.objects() == {"a": one("a", "1")}


def test_other_errors_are_watched_again_from_the_same_version():
    store = listed()
    store.on_event({"type": "ERROR", "object": {"kind": "Status", "code": 500}})
    assert store.version == "5"


def test_list_that_shows_what_is_known_is_no_change():
    store = listed(one("a", "1"))
    assert not store.on_listed([one("a", "1")], "6")
    assert store.on_listed([one("a", "2")], "7")
    assert store.on_listed([], "8")


def test_last_state_of_a_deleted_object_is_kept_until_it_is_forgotten():
    store = listed(one("a", "1"))
    store.on_event({"type": "DELETED", "object": one("a", "6", status="why")})
    assert store.deleted() == {"a": one("a", "6", status="why")}
    store.forget("a")
    assert store.deleted() == {}


def test_late_event_of_a_forgotten_object_is_no_change():
    store = listed(one("a", "1"))
    store.forget("a")
    assert not store.on_event(event("DELETED", "a", "6"))
    assert store.objects() == {}


class Server(RuleBasedStateMachine):
    """A server with a history, a watch that breaks anywhere, and a history that is compacted at any time."""

    def __init__(self):
        super().__init__()
        self.now = 1
        self.truth, self.history, self.oldest = {}, [], 0
        self.store = ObjectStore()

    def write(self, kind, name):
        self.now += 1
        self.history.append((self.now, event(kind, name, str(self.now))))

    @rule(name=NAMES)
    def put(self, name):
        self.write("MODIFIED" if name in self.truth else "ADDED", name)
        self.truth[name] = one(name, str(self.now))

    @rule(name=NAMES)
    def delete(self, name):
        if self.truth.pop(name, None):
            self.write("DELETED", name)

    @rule()
    def compact(self):
        self.oldest = self.now

    @rule(limit=st.integers(0, 3), ends_by_bookmark=st.booleans())
    def watch(self, limit, ends_by_bookmark):
        """The client lists if it must, and reads events until the connection breaks."""
        if self.store.must_list:
            self.store.on_listed(self.truth.values(), str(self.now))
        since = int(self.store.version)
        if since < self.oldest:
            self.store.on_event(EXPIRED)
            return
        todo = [written for moment, written in self.history if moment > since]
        for written in todo[:limit]:
            self.store.on_event(written)
        if ends_by_bookmark and len(todo) <= limit:
            self.store.on_event({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(self.now)}}})

    @invariant()
    def store_has_what_the_server_had_at_its_version(self):
        if self.store.must_list:
            return
        version = int(self.store.version)
        then = {}
        for moment, written in self.history:
            if moment <= version:
                name = written["object"]["metadata"]["name"]
                then.pop(name, None)
                if written["type"] != "DELETED":
                    then[name] = written["object"]
        assert self.store.objects() == then


TestServer = Server.TestCase
TestServer.settings = settings(max_examples=100, deadline=None)
