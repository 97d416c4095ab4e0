import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnflow.capsule import archive

MACHINE = os.uname().machine
PROGRAM = Path(archive.__file__).parent / "launchers" / f"unpack-{MACHINE}"
LONG = (
    "a/" + "folder_with_a_long_name/" * 5 + "file_with_a_name_that_makes_the_path_longer_than_a_hundred_characters.py"
)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "capsule"
    for name, content in {
        "capsule.json": b"{}",
        "cnflow/empty.py": b"",
        "cnflow/code.py": b"x = 1\n" * 100_000,
        "lib/noise.so": os.urandom(700_000),
        LONG: b"long",
    }.items():
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_bytes(content)
        (made / name).chmod(0o755 if name.endswith(".so") else 0o644)
    return made


@pytest.fixture
def parts(folder, tmp_path):
    made = tmp_path / "parts"
    made.mkdir()
    for name, content in archive.cut(archive.compressed(folder), 100_000).items():
        (made / name).write_bytes(content)
    return made


def python_argv(parts, root, *command):
    return archive.unpack_argv(sys.executable, str(parts), str(root), command)


def static_argv(parts, root, *command):
    return (str(PROGRAM), str(parts), str(root), *command)


unpackers = pytest.mark.parametrize("argv", [python_argv, static_argv])


def content_of(folder):
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mode & 0o777, path.read_bytes())
        for path in folder.rglob("*")
        if path.is_file()
    }


@unpackers
def test_an_archive_in_parts_is_unpacked_to_the_same_files(argv, folder, parts, tmp_path):
    root = tmp_path / "root"
    done = subprocess.run(argv(parts, root, "/bin/echo", "started", "x y"), capture_output=True, check=True)
    assert done.stdout == b"started x y\n"
    assert content_of(root) == content_of(folder)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("root")] == ["root"], "no draft is left"
    assert len(list(parts.iterdir())) > 5


@unpackers
def test_a_folder_that_is_there_is_not_unpacked_again(argv, tmp_path):
    (tmp_path / "root").mkdir()
    subprocess.run(argv(tmp_path / "no-parts", tmp_path / "root", "/bin/true"), check=True)
    assert list((tmp_path / "root").iterdir()) == []


@unpackers
def test_a_missing_part_is_named_and_nothing_is_started(argv, parts, tmp_path):
    max(parts.iterdir()).unlink()
    done = subprocess.run(argv(parts, tmp_path / "root", "/bin/echo", "started"), capture_output=True, check=False)
    assert done.returncode != 0
    assert f"parts of its code are missing in {parts}".encode() in done.stderr
    assert b"started" not in done.stdout
    assert not (tmp_path / "root").exists()


@unpackers
def test_a_damaged_part_starts_nothing(argv, parts, tmp_path):
    victim = sorted(parts.iterdir())[3]
    content = bytearray(victim.read_bytes())
    content[500] ^= 16
    victim.write_bytes(content)
    done = subprocess.run(argv(parts, tmp_path / "root", "/bin/echo", "started"), capture_output=True, check=False)
    assert done.returncode != 0
    assert b"started" not in done.stdout


def test_an_archive_is_the_same_each_time(folder):
    first = archive.compressed(folder)
    os.utime(folder / "capsule.json", (1, 1))
    assert archive.compressed(folder) == first


def test_parts_are_at_most_as_long_as_the_limit_and_sort_in_their_order():
    parts = archive.cut(bytes(range(256)) * 40, 100)
    assert b"".join(parts[name] for name in sorted(parts)) == bytes(range(256)) * 40
    assert max(map(len, parts.values())) == 100


def test_programs_for_both_architectures_are_static():
    assert archive.unpacker("x86_64")[18:20] == b"\x3e\x00"
    assert archive.unpacker("aarch64")[18:20] == b"\xb7\x00"
