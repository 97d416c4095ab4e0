"""Records of batches and of loaded models, over the framing of the pipe."""

import hypothesis.strategies as st
from hypothesis import given

from cnflow.wire.batch_records import (
    BatchRecord,
    LoadedRecord,
    pack_batch,
    pack_load,
    pack_loaded,
    unpack_batch,
    unpack_loaded,
)
from cnflow.wire.pipe import Reader, ToWorker

FUNCTION = b"f" * 16
PARTS = st.lists(st.binary(max_size=40) | st.just(b"x" * 70_000), min_size=1, max_size=4)


def read(chunks):
    (record,) = Reader().feed(b"".join(map(bytes, chunks)))
    return record


@given(st.lists(st.tuples(st.integers(0, 2**63), PARTS), min_size=1, max_size=20), st.floats(0, 1e6))
def test_batch_comes_out_as_it_went_in(calls, walltime):
    record = read(pack_batch(FUNCTION, walltime, calls))
    assert (record.type, record.id) == (ToWorker.BATCH, len(calls))
    assert unpack_batch(record) == BatchRecord(FUNCTION, walltime, calls)


def test_order_to_load_names_the_function():
    record = read(pack_load(FUNCTION))
    assert (record.type, record.parts) == (ToWorker.LOAD, [FUNCTION])


@given(st.floats(0, 1e6), st.text(), st.binary())
def test_reply_to_a_load_comes_out_as_it_went_in(seconds, error, description):
    loaded = LoadedRecord(FUNCTION, seconds, error.encode(errors="replace").decode(), description)
    assert unpack_loaded(read(pack_loaded(loaded))) == loaded
