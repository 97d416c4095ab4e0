"""Frames of the WebSocket protocol: examples of RFC 6455, section 5.7, and cuts at every byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.kubernetes_api.frames import FrameReader, Opcode, ProtocolError, WebSocketMessage, encode


def server_frame(opcode, payload, *, final=True):
    """Frame as a server sends it: not masked."""
    first = (0x80 if final else 0) | opcode
    size = len(payload)
    if size < 126:
        return bytes([first, size]) + payload
    if size < 65536:
        return bytes([first, 126]) + size.to_bytes(2, "big") + payload
    return bytes([first, 127]) + size.to_bytes(8, "big") + payload


def test_encoded_text_is_that_of_the_standard():
    mask = bytes.fromhex("37fa213d")
    assert encode(Opcode.TEXT, b"Hello", mask) == bytes.fromhex("818537fa213d7f9f4d5158")


def test_a_fragmented_message_is_joined_around_a_ping():
    data = bytes.fromhex("010348656c") + server_frame(Opcode.PING, b"?") + bytes.fromhex("80026c6f")
    assert FrameReader().feed(data) == [WebSocketMessage(Opcode.PING, b"?"), WebSocketMessage(Opcode.TEXT, b"Hello")]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_lengths_of_each_form_are_read_and_written(size):
    payload = b"a" * size
    assert FrameReader().feed(server_frame(Opcode.BINARY, payload)) == [(Opcode.BINARY, payload)]
    sent = encode(Opcode.BINARY, payload, b"\0\0\0\0")
    head = len(sent) - size
    assert sent[head:] == payload
    assert sent[1] & 0x80


@given(st.lists(st.binary(max_size=300), max_size=5), st.integers(1, 50))
def test_messages_survive_any_cut(payloads, step):
    data = b"".join(server_frame(Opcode.BINARY, payload) for payload in payloads)
    reader = FrameReader()
    read = [message for start in range(0, len(data), step) for message in reader.feed(data[start : start + step])]
    assert [message.payload for message in read] == payloads


@given(st.binary(max_size=1000), st.binary(min_size=4, max_size=4))
def test_masking_twice_gives_the_payload(payload, mask):
    sent = encode(Opcode.BINARY, payload, mask)
    masked = sent[len(sent) - len(payload) :]
    assert bytes(byte ^ mask[n % 4] for n, byte in enumerate(masked)) == payload


def test_a_masked_frame_of_the_server_is_refused():
    with pytest.raises(ProtocolError, match="masks"):
        FrameReader().feed(encode(Opcode.TEXT, b"x"))


def test_a_huge_frame_is_refused_before_it_has_come():
    with pytest.raises(ProtocolError, match="bytes"):
        FrameReader().feed(b"\x82\x7f" + (2**40).to_bytes(8, "big"))
