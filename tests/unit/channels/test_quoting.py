"""Texts for shells, and output between marks."""

import re
import subprocess

import pytest

from cnflow.channels.quoting import READ_AND_RUN, Output, header, marked_script, plain_script, remote_command, unmarked


def test_login_shell_sees_plain_characters_in_short_words_only():
    command = remote_command(plain_script(["printf", "%s", "it's\n!x\\" * 500], environment={"A": "b'c"}))
    assert command.startswith("""exec /bin/sh -c 'eval "$(printf %s "$@" | base64 -d)"' sh """)
    assert re.fullmatch(r"[A-Za-z0-9+/= ]+", command.partition("' sh ")[2])
    assert max(map(len, command.split())) <= 800
    assert not set("\n\\!") & set(command + READ_AND_RUN)


def test_script_in_the_first_line_leaves_the_rest_of_stdin_to_the_command():
    script = marked_script(["sh", "-c", 'cat; echo "$A" >&2; exit 255'], "MARK", environment={"A": "it's"})
    done = subprocess.run(["sh", "-c", READ_AND_RUN], input=header(script) + b"a\0b", capture_output=True, check=False)
    assert unmarked(b"Welcome" + done.stdout, b"banner\n" + done.stderr, "MARK") == (b"a\0b", b"it's\n", 255, True)


def test_setup_hears_nothing_and_is_not_heard():
    script = plain_script(["cat"], setup="echo noise; cat; B=1")
    done = subprocess.run(["sh", "-c", remote_command(script)], input=b"mine", capture_output=True, check=True)
    assert done.stdout == b"mine"


@pytest.mark.parametrize(
    ("stdout", "stderr", "output"),
    [
        (b"Welcome", b"no such account", Output(b"Welcome", b"no such account", None, has_started=False)),
        (b"\nM\nhalf", b"\nM\nbroken", Output(b"half", b"broken", None, has_started=True)),
        (b"\nM\n", b"\nM\nx\nM 0\nlate\n", Output(b"", b"xlate\n", 0, has_started=True)),
        (b"x\nM\ny\nM\n", b"\nM\n\nM 12\n", Output(b"y\nM\n", b"", 12, has_started=True)),
    ],
)
def test_end_of_a_command_is_known_by_its_last_mark_alone(stdout, stderr, output):
    assert unmarked(stdout, stderr, "M") == output


def test_words_of_any_bytes_travel_and_nul_is_refused():
    odd = b"caf\xe9".decode("utf-8", "surrogateescape")
    command = remote_command(plain_script(["printf", "%s", odd]))
    done = subprocess.run(["sh", "-c", command], capture_output=True, check=True)
    assert done.stdout == b"caf\xe9"
    with pytest.raises(ValueError, match="NUL"):
        remote_command(plain_script(["a\0b"]))
