"""Values of the standard library pass through real interpreters of other minor versions unchanged."""

import datetime as dt
import decimal
import fractions
import pathlib
import struct
import subprocess
import sys
import uuid
from collections import Counter, OrderedDict, deque
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnflow.wire import serialization

pytestmark = pytest.mark.pythons
REPOSITORY = Path(__file__).parents[2]

# Loads each value, and pickles it again, as a worker does with an argument that it returns.
PEER = """
import struct, sys
sys.path[:0] = sys.argv[1:]
from cnflow.wire import serialization
stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = stdin.read(4)
    if not head:
        break
    value = serialization.load(stdin.read(struct.unpack("<I", head)[0]))
    body = serialization.dump_result(value, in_band=True).body
    stdout.write(struct.pack("<I", len(body)) + body)
    stdout.flush()
"""


class Peer:
    """A process of another Python."""

    def __init__(self, python, folder):
        (folder / "packages").mkdir()
        (folder / "packages" / "cloudpickle").symlink_to(Path(cloudpickle.__file__).parent)
        command = [python, "-c", PEER, str(REPOSITORY), str(folder / "packages")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def returned(self, value):
        body = serialization.dump_in_band(value)
        self.process.stdin.write(struct.pack("<I", len(body)) + body)
        self.process.stdin.flush()
        (size,) = struct.unpack("<I", self.process.stdout.read(4))
        return serialization.load(self.process.stdout.read(size))


@pytest.fixture(scope="module", params=["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def peer(request, pythons, tmp_path_factory):
    if request.param not in pythons:
        pytest.skip(f"no Python {request.param}")
    found = Peer(pythons[request.param], tmp_path_factory.mktemp("peer"))
    yield found
    found.process.stdin.close()
    found.process.stdout.close()
    assert found.process.wait(30) == 0


timezones = st.none() | st.timedeltas(dt.timedelta(hours=-23), dt.timedelta(hours=23)).map(dt.timezone)
paths = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(max_size=200),
    st.datetimes(timezones=timezones), st.dates(), st.times(), st.timedeltas(), st.decimals(), st.fractions(),
    st.uuids(),
    paths.map(pathlib.PurePosixPath), paths.map(pathlib.Path), paths.map(pathlib.PureWindowsPath), st.ip_addresses(),
    st.integers(0, 9).map(range), st.integers(0, 9).map(slice), st.text(max_size=5).map(ValueError),
    st.sampled_from([int, len, decimal.ROUND_UP, dt.timezone.utc, ..., NotImplemented, decimal.Decimal, Counter]),
)  # fmt: skip
hashable = st.one_of(st.integers(), st.text(), st.binary(), st.dates(), st.uuids())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(hashable, inner, max_size=4),
        st.frozensets(hashable, max_size=4), st.sets(hashable, max_size=4), st.lists(inner, max_size=4).map(deque),
        st.lists(hashable, max_size=4).map(Counter), st.dictionaries(hashable, inner, max_size=3).map(OrderedDict),
        st.dictionaries(st.sampled_from("abc"), inner).map(lambda names: SimpleNamespace(**names)),
    ),
    max_leaves=12,
)  # fmt: skip


def shown(value):
    """A text that is the same for equal values, also for those that are not equal to themselves."""
    if isinstance(value, (set, frozenset)):
        return [type(value).__name__, *sorted(map(shown, value))]
    if isinstance(value, (dict, SimpleNamespace)):
        items = value.items() if isinstance(value, dict) else vars(value).items()
        return [type(value).__name__, [(repr(key), shown(part)) for key, part in items]]
    if isinstance(value, (list, tuple, deque)):
        return [type(value).__name__, *map(shown, value)]
    return repr(value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(value=values)
def test_values_pass_through_another_python(peer, value):
    assert str(shown(peer.returned(value))) == str(shown(value))


def test_what_has_no_equals_passes_by_its_content(peer):
    assert peer.returned(uuid.UUID(int=3)).int == 3
    assert peer.returned(fractions.Fraction(1, 3)) == fractions.Fraction(1, 3)
    note = ValueError("x")
    if sys.version_info >= (3, 11):
        note.add_note("a note")
    assert getattr(peer.returned(note), "__notes__", []) == getattr(note, "__notes__", [])
