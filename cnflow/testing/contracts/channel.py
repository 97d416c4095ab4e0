"""The contract of channels, as tests that a channel's author runs: derive from it, and give it the channel."""

from __future__ import annotations

import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import IO, TYPE_CHECKING

import pytest

from cnflow.errors import ChannelError
from cnflow.units import Seconds

if TYPE_CHECKING:
    from cnflow.interfaces.channel import Channel

ODD_WORDS = (
    "",
    " ",
    "two words",
    "it's",
    'say "hi"',
    "a\nb\n",
    "$HOME `id` $(id)",
    "!history !! ^a^b",
    "back\\slash \\n \\",
    "*?[a-z]{1,2}~",
    "; exit 9 # & | > /tmp/x",
    "-n",
    "--",
    "мир 世界 é",
    "\t\r",
    "%s %% %d",
    "x" * 20_000,
    "'" * 300,
)
"""Words that no shell on the way may change."""

_LONG = Seconds(60.0)


class ChannelContract:
    """Tests of a channel.

    Override the hooks::

    class TestTelegraph(ChannelContract):
        @pytest.fixture
        def channel(self):
            made = TelegraphBackend(TelegraphChannel(host="login"))
            yield made
            made.close()

        @pytest.fixture
        def folder(self, channel):
            return "/scratch/test"
    """

    # Hooks

    @pytest.fixture
    def channel(self) -> Channel:
        """Override: the channel under test."""
        raise NotImplementedError

    @pytest.fixture
    def folder(self) -> str:
        """Override: absolute path of a folder on its machine in which files may be written; it need not exist."""
        raise NotImplementedError

    # Commands

    def test_command_has_exit_code_and_both_streams(self, channel: Channel) -> None:
        """Output is neither mixed nor changed, and a code above 0 is no error."""
        done = channel.run(["sh", "-c", "echo out; printf 'no end'; echo err >&2; exit 7"])
        assert done == (7, "out\nno end", "err\n")
        assert channel.run(["true"]) == (0, "", "")
        assert channel.run(["sh", "-c", "exit 255"]).exit_code == 255

    def test_no_word_is_changed_on_the_way(self, channel: Channel) -> None:
        """Each argument arrives as it is."""
        script = 'for word; do printf "%s\\001" "$word"; done'
        done = channel.run(["sh", "-c", script, "sh", *ODD_WORDS])
        assert tuple(done.stdout.split("\1")[:-1]) == ODD_WORDS

    def test_stdin_reaches_the_command_with_all_bytes(self, channel: Channel) -> None:
        """Also where it is empty, or larger than a pipe holds."""
        content = bytes(range(256)) * 2000
        assert channel.run(["wc", "-c"], stdin=content).stdout.split() == [str(len(content))]
        assert channel.run(["cat"], stdin=b"a\n\xc3\xa9").stdout == "a\né"
        assert channel.run(["cat"]).stdout == ""

    def test_command_that_reads_nothing_ends_without_an_error(self, channel: Channel) -> None:
        """Its stdin is not written to the end."""
        assert channel.run(["true"], stdin=bytes(1_000_000)).exit_code == 0

    def test_program_that_is_missing_is_a_code(self, channel: Channel) -> None:
        """127, as in a shell; its name is in the words."""
        done = channel.run(["no-such-program-of-cnflow", "x"])
        assert done.exit_code == 127
        assert "no-such-program-of-cnflow" in done.stderr

    def test_command_that_takes_too_long_is_an_error(self, channel: Channel) -> None:
        """The message names the command and the time; the channel works on."""
        with pytest.raises(ChannelError, match=r"sleep did not end within 1 s"):
            channel.run(["sleep", "50"], timeout=Seconds(1.0))
        assert channel.run(["echo", "on"]).stdout == "on\n"

    def test_many_commands_at_once_do_not_disturb_each_other(self, channel: Channel) -> None:
        """Thirty threads get the output of their own commands."""
        with ThreadPoolExecutor(30) as pool:
            done = list(pool.map(lambda n: channel.run(["sh", "-c", f"sleep 0.1; echo {n}"], timeout=_LONG), range(30)))
        assert [one.stdout for one in done] == [f"{n}\n" for n in range(30)]

    def test_started_command_has_a_stream_each_way(self, channel: Channel) -> None:
        """All bytes pass, both ways and at once, while it runs."""
        content = bytes(range(256)) * 4000
        process = channel.start(["sh", "-c", "echo ready; exec cat"])
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        with process, process.stderr:
            while (line := process.stdout.readline()) != b"ready\n":
                assert line, "the command ended"
            writer = threading.Thread(target=_write_and_close, args=(process.stdin, content))
            writer.start()
            assert process.stdout.read() == content
            writer.join()
            assert process.wait(_LONG) == 0

    def test_argument_vector_of_a_command_starts_it(self, channel: Channel) -> None:
        """`command` gives what can be started by others, with odd words too."""
        words = [word for word in ODD_WORDS if len(word) < 1000]
        argv = channel.command(["printf", "%s\\001", *words])
        assert not any("\0" in word for word in argv)
        channel.open()
        process = channel.start(["printf", "%s\\001", *words])
        out, _ = process.communicate(timeout=_LONG)
        assert out.endswith("\1".join([*words, ""]).encode())

    # Files

    def test_file_is_written_privately_and_read_back(self, channel: Channel, folder: str) -> None:
        """Bytes, mode and folder; the file is replaced by another."""
        path = f"{folder}/{uuid.uuid4().hex}/a b'c\"d$e/x.bin"
        for content, mode in ((bytes(range(256)), 0o600), (b"", 0o755), (b"new\n", 0o640)):
            channel.put(content, path, mode)
            assert channel.get(path) == content
            assert channel.run(["stat", "-c", "%a", path]).stdout.strip() == f"{mode:o}"
        parent = path.rpartition("/")[0]
        assert channel.run(["stat", "-c", "%a", parent]).stdout.strip() == "700"
        assert channel.run(["ls", "-A", parent]).stdout == "x.bin\n"

    def test_large_file_is_whole(self, channel: Channel, folder: str) -> None:
        """Five million bytes."""
        content = bytes(range(250)) * 20_000
        channel.put(content, f"{folder}/large")
        assert channel.get(f"{folder}/large") == content

    def test_file_that_cannot_be_written_is_an_error_and_leaves_nothing(self, channel: Channel, folder: str) -> None:
        """The message has the path; a folder of that name stays."""
        channel.put(b"x", f"{folder}/file")
        for path in (f"{folder}/file/below", folder):
            with pytest.raises(ChannelError, match="cannot be written"):
                channel.put(b"y", path)
        assert channel.run(["ls", "-A", folder]).stdout == "file\n"

    def test_missing_file_is_an_error(self, channel: Channel, folder: str) -> None:
        """The message has the path."""
        with pytest.raises(ChannelError, match=r"nothing-here cannot be read"):
            channel.get(f"{folder}/nothing-here")

    def test_files_written_at_once_are_whole(self, channel: Channel, folder: str) -> None:
        """Ten threads replace one file: it is always one of theirs."""
        contents = [bytes([n]) * 100_000 for n in range(10)]
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda content: channel.put(content, f"{folder}/same"), contents))
        assert channel.get(f"{folder}/same") in contents

    # Life

    def test_open_twice_and_close_twice_are_no_errors(self, channel: Channel) -> None:
        """Both may be called by several owners."""
        channel.open()
        start = time.monotonic()
        channel.open()
        assert time.monotonic() - start < _LONG
        channel.close()
        channel.close()


def _write_and_close(stream: IO[bytes], content: bytes) -> None:
    with stream:
        stream.write(content)
