import sys
from pathlib import Path

from cnflow.capsule.libraries import Linked, interpreter_of, parse_list

GLIBC = """\
\tlinux-vdso.so.1 (0x00007eff8fe9d000)
\tlibpython3.11.so.1.0 => /opt/python/lib/libpython3.11.so.1.0 (0x00007eff8f800000)
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007eff8f61e000)
\t/opt/with space/libz.so.1 (0x00007eff8f61e000)
\t/lib64/ld-linux-x86-64.so.2 (0x00007eff8fe9d000)
"""


def test_listed_libraries_have_their_paths_by_name():
    assert parse_list(GLIBC) == Linked(
        {
            "libpython3.11.so.1.0": Path("/opt/python/lib/libpython3.11.so.1.0"),
            "libc.so.6": Path("/lib/x86_64-linux-gnu/libc.so.6"),
            "libz.so.1": Path("/opt/with space/libz.so.1"),
            "ld-linux-x86-64.so.2": Path("/lib64/ld-linux-x86-64.so.2"),
        },
    )


def test_missing_library_is_named_as_each_loader_words_it():
    assert parse_list("\tlibtk8.6.so => not found\n").missing == ("libtk8.6.so",)
    line = "/lib/ld.so: error while loading shared libraries: libtk8.6.so: cannot open shared object file: No such file"
    assert parse_list(line).missing == ("libtk8.6.so",)


def test_loader_is_read_from_a_program_and_empty_for_what_is_none():
    assert Path(interpreter_of(Path(sys.executable).read_bytes())).name.startswith("ld-")
    launchers = Path(__file__).parents[3] / "cnflow/capsule/launchers"
    assert interpreter_of((launchers / "x86_64").read_bytes()) == "", "linked statically"
    assert interpreter_of(b"#!/bin/sh\n") == ""
    assert interpreter_of(b"\x7fELF\x02\x01" + b"\xff" * 80) == "", "cut off"
