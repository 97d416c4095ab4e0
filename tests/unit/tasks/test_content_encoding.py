import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.tasks.staging.content_encoding import Decoder, UndecodableError


def raw_deflate(content):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


ENCODINGS = {
    "gzip": [gzip.compress],
    "x-gzip": [lambda content: gzip.compress(content[:3]) + gzip.compress(content[3:]) + b"\0\0\0"],
    "deflate": [zlib.compress],
    "Deflate": [raw_deflate],
    "identity": [],
    "": [],
    "deflate, identity, gzip": [zlib.compress, gzip.compress],
}


def decoded(encoding, body, sizes):
    decoder = Decoder([encoding])
    parts = []
    while body:
        size = sizes.pop() if sizes else len(body)
        parts.append(decoder.decode(body[:size]))
        body = body[size:]
    return b"".join([*parts, decoder.finish()])


@given(st.sampled_from(sorted(ENCODINGS)), st.binary(), st.lists(st.integers(1, 5)))
def test_content_is_decoded_in_whatever_pieces_it_comes(encoding, content, sizes):
    body = content
    for encode in ENCODINGS[encoding]:
        body = encode(body)
    assert decoded(encoding, body, sizes) == content


@given(st.sampled_from(["gzip", "deflate", "Deflate"]), st.binary(min_size=1), st.integers(1, 4))
def test_content_that_ends_early_is_never_taken_for_whole(encoding, content, missing):
    (encode,) = ENCODINGS[encoding]
    with pytest.raises(UndecodableError):
        decoded(encoding, encode(content)[:-missing], [])


@pytest.mark.parametrize("name", ["br", "zstd", "compress", "gzip, br"])
def test_unknown_encoding_is_refused_for_good(name):
    with pytest.raises(UndecodableError, match=f"{name.rpartition(' ')[2]!r}") as refusal:
        Decoder([name])
    assert refusal.value.is_final
