from hypothesis import given
from hypothesis import strategies as st

from cnflow.wire.pipe import Pieces, Reader, pack

records = st.tuples(
    st.integers(0, 255), st.integers(0, 2**64 - 1), st.just(0.5), st.lists(st.binary(max_size=300), max_size=10)
)


@given(st.lists(records, max_size=8), st.integers(1, 50))
def test_reader_parses_records_from_bytes_in_pieces_of_any_size(sent, cut):
    stream = b"".join(bytes(chunk) for record in sent for chunk in pack(*record))
    reader = Reader()
    got = [record for at in range(0, len(stream), cut) for record in reader.feed(stream[at : at + cut])]
    assert [tuple(record) for record in got] == sent


@given(st.lists(st.sampled_from([0, 1, 300, 65_535, 65_536, 200_000]), max_size=5), st.integers(1, 300_000))
def test_reader_parses_records_with_large_parts_from_bytes_in_pieces_of_any_size(sizes, cut):
    sent = [(n, n, 0.5, [bytes([n]) * size for size in sizes]) for n in (1, 2)]
    stream = b"".join(bytes(chunk) for record in sent for chunk in pack(*record))
    reader = Reader()
    cut = max(cut, len(stream) // 50)
    got = [record for at in range(0, len(stream), cut) for record in reader.feed(stream[at : at + cut])]
    assert [tuple(record) for record in got] == sent


@given(st.lists(st.binary(min_size=1, max_size=40_000), min_size=1, max_size=5))
def test_part_in_pieces_is_packed_as_one(pieces):
    part = Pieces()
    for piece in pieces:
        part.append(memoryview(piece))
    chunks = pack(1, 7, 0.0, [b"before", part, b"after"])
    assert b"".join(chunks) == b"".join(pack(1, 7, 0.0, [b"before", b"".join(pieces), b"after"]))


def test_pack_does_not_copy_a_large_part():
    large = b"x" * 200_000
    chunks = pack(1, 7, 0.0, [b"head", large, b"tail"])
    assert any(chunk is large for chunk in chunks)
    assert b"".join(chunks)[-4:] == b"tail"


def test_reader_yields_large_parts_writable():
    stream = b"".join(bytes(chunk) for chunk in pack(1, 7, 0.0, [b"small", b"x" * 200_000]))
    (record,) = Reader().feed(stream)
    assert [type(part) for part in record.parts] == [bytes, bytearray]
