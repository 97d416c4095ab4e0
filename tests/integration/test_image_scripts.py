"""The script that makes an image at a site, run by real shells: one makes it, the others wait for it."""

import contextlib
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

import pytest

from cnflow.channels.local import LocalBackend
from cnflow.config.channels import LocalChannel
from cnflow.sites.image_scripts import Wanted, bring_script, look_script, parse_look, parse_report
from cnflow.sites.image_transfer import BringError, ImageTransfer, Upload

SHELLS = [name for name in ("dash", "bash", "busybox") if shutil.which(name)]


class OneShell(LocalBackend):
    """The channel of this machine, with another ``sh``, and as far away as a network."""

    def __init__(self, shell, *, is_local=True):
        super().__init__(LocalChannel())
        self.is_local = is_local
        self._shell = ["busybox", "sh"] if shell == "busybox" else [shell]
        self.name = shell

    def start(self, argv):
        return super().start([*self._shell, *argv[1:]] if argv[0] == "sh" else argv)


@pytest.fixture(params=SHELLS)
def channel(request):
    return OneShell(request.param)


def wanted(tmp_path, make, **options):
    return Wanted(f"'{tmp_path}/a cache'", options.pop("name", "image.sif"), make, **options)


def names_in(folder):
    return [path.name for path in folder.iterdir()]


def bring(channel, want, supply=None, login=None):
    lines = []
    return ImageTransfer(channel, lines.append, supply, login).run(want), lines


@contextlib.contextmanager
def supply(tmp_path, content=b"content"):
    path = tmp_path / "upload with a space"
    path.write_bytes(content)
    yield Upload(path, ".tar")


def test_image_is_made_once_and_found_afterwards(channel, tmp_path):
    made, lines = bring(channel, wanted(tmp_path, 'build() { echo building; echo x >"$part"; }\nwatched build\n'))
    assert (made.name, made.is_new, lines) == ("image.sif", True, ["building"])
    assert made.path == f"{tmp_path}/a cache/image.sif"
    again, lines = bring(channel, wanted(tmp_path, "fail make\n"))
    assert (again.path, again.is_new, lines) == (made.path, False, [])
    assert names_in(tmp_path / "a cache") == ["image.sif"]


def test_file_of_the_driver_is_read_in_place_or_sent_over_a_network(channel, tmp_path):
    for far in (False, True):
        channel.is_local = not far
        make = 'receive\necho "$upload" >&2\ncp "$upload" "$part"\n'
        content = os.urandom(3_000_000)
        made, lines = bring(
            channel, wanted(tmp_path, make, name=f"far-{far}"), lambda content=content: supply(tmp_path, content)
        )
        assert Path(made.path).read_bytes() == content
        assert bool(lines) == far


def test_facts_that_were_kept_come_with_the_image(channel, tmp_path):
    made, _ = bring(channel, wanted(tmp_path, ': >"$part"\n'))
    Path(f"{made.path}.facts").write_text('{"id": "sha256:1"}\n')
    assert bring(channel, wanted(tmp_path, "fail make\n"))[0].facts == {"id": "sha256:1"}


def test_password_reaches_the_script_by_its_stdin(channel, tmp_path):
    make = 'login\nprintf "%s %s" "$user" "$password" >"$part"\n'
    made, lines = bring(channel, wanted(tmp_path, make), login=("me", 'p w\\n"$x'))
    assert Path(made.path).read_text() == 'me p w\\n"$x'
    assert lines == []


def test_many_at_once_make_it_once(channel, tmp_path):
    make = f'echo made >>"{tmp_path}/count"\nsleep 1\necho x >"$part"\n'
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(bring(channel, wanted(tmp_path, make)))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made.is_new for made, _ in results) == [False] * 5 + [True]
    assert (tmp_path / "count").read_text() == "made\n"
    assert names_in(tmp_path / "a cache") == ["image.sif"]


def test_lock_of_one_who_died_is_taken_over(tmp_path):
    cache = tmp_path / "a cache"
    cache.mkdir()
    (cache / ".image.sif.lock").write_text("elsewhere-77 5\n")
    (cache / ".image.sif.elsewhere-77").mkdir()
    script = bring_script(wanted(tmp_path, 'echo x >"$part"\n'), patience=2)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    kinds = [report.kind for line in done.stdout.splitlines() if (report := parse_report(line))]
    assert kinds == ["folder", "wait", "taken", "done"]
    assert names_in(cache) == ["image.sif"]


def test_lock_of_one_who_lives_is_not_taken_over(tmp_path):
    """The holder beats more often than the patience of the other."""
    make = f'echo made >>"{tmp_path}/count"\nsleep 8\necho x >"$part"\n'
    script = bring_script(wanted(tmp_path, make), patience=6)
    first = subprocess.Popen(["sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    until_there = time.monotonic() + 30
    while not (tmp_path / "count").exists() and time.monotonic() < until_there:
        time.sleep(0.05)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    assert first.wait(60) == 0
    first.stdout.close()
    assert "taken" not in done.stdout
    assert (tmp_path / "count").read_text() == "made\n"


def test_script_that_is_ended_leaves_no_lock(channel, tmp_path):
    script = bring_script(wanted(tmp_path, ': >"$cache/started"\nsleep 60 &\nwait $!\n'))
    process = channel.start(["sh", "-c", script])
    deadline = time.monotonic() + 30
    while not (tmp_path / "a cache" / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    process.wait(30)
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    assert names_in(tmp_path / "a cache") == ["started"]


def test_connection_that_breaks_in_the_midst_leaves_nothing(channel, tmp_path):
    channel.is_local = False
    process = channel.start(["sh", "-c", bring_script(wanted(tmp_path, 'receive\nmv "$upload" "$part"\n'))])
    for line in process.stdout:
        if (report := parse_report(line.decode())) and report.kind == "send":
            break
    process.stdin.write(b"bytes 1000 .tar\n" + b"x" * 10)
    process.stdin.close()
    assert b"fail cut" in process.stdout.read()
    process.wait(30)
    process.stdout.close()
    process.stderr.close()
    assert names_in(tmp_path / "a cache") == []


def test_failure_has_the_words_of_what_failed(channel, tmp_path):
    make = 'watched sh -c "echo first; echo FATAL: no space left on device >&2; exit 3" || fail make\n'
    with pytest.raises(BringError) as raised:
        bring(channel, wanted(tmp_path, make))
    assert (raised.value.why, raised.value.words) == ("make", "first\nFATAL: no space left on device")
    assert names_in(tmp_path / "a cache") == []


def test_no_room_for_what_is_sent_is_told_before_it_is_sent(channel, tmp_path):
    class Huge:
        def stat(self):
            return type("Stat", (), {"st_size": 1 << 60})

        def open(self, mode):
            return open(os.devnull, mode)  # noqa: PTH123

    channel.is_local = False
    with pytest.raises(BringError) as raised:
        bring(channel, wanted(tmp_path, "receive\n"), lambda: contextlib.nullcontext(Upload(Huge(), ".tar")))
    assert raised.value.why == "space"
    assert raised.value.details.endswith(f" {1 << 60}")


def test_folder_that_cannot_be_made_is_told(channel, tmp_path):
    (tmp_path / "a cache").write_text("a file")
    with pytest.raises(BringError) as raised:
        bring(channel, wanted(tmp_path, "fail make\n"))
    assert raised.value.why == "folder"


def test_image_of_unknown_content_is_named_by_it_and_found_by_its_pointer(channel, tmp_path):
    make = 'echo x >"$part"\n'
    want = wanted(tmp_path, make, name="", pointer="name-1", suffix=".sif")
    made, _ = bring(channel, want)
    assert len(made.name) == len(".sif") + 64
    assert bring(channel, want)[0] == made._replace(is_new=False)
    changed = wanted(tmp_path, 'echo y >"$part"\n', name="", pointer="name-1", suffix=".sif")
    assert bring(channel, changed)[0].name == made.name
    assert bring(channel, changed.anew())[0].name != made.name


def test_file_of_the_site_is_named_by_its_bytes_whatever_it_is_called(tmp_path):
    path = tmp_path / "it's a file"
    path.write_bytes(b"hello")
    cache = f"'{tmp_path}/cache'"

    def look():
        done = subprocess.run(["sh", "-c", look_script(cache, f'"{path}"')], capture_output=True, text=True, check=True)
        return parse_look(done.stdout)

    found = look()
    assert (found.kind, found.path) == ("archive", str(path))
    assert found.digest == "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert look() == found
    path.unlink()
    assert look().kind == "absent"


@pytest.mark.root
def test_users_share_a_cache(tmp_path):
    """What one has made another takes, and a lock that another one's death left is no obstacle."""
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(0o755)
    cache = tmp_path / "a cache"
    cache.mkdir()
    cache.chmod(0o777)

    def run(make, user, **options):
        argv = ["sh", "-c", bring_script(wanted(tmp_path, make, **options), patience=2)]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, user=user, group=user, cwd="/"
        )
        reports = [report for line in done.stdout.splitlines() if (report := parse_report(line))]
        return reports[-1].kind

    assert run('echo x >"$part"\n', 65534) == "done"
    assert run("fail make\n", 1234) == "have"
    (cache / ".other.sif.lock").write_text("elsewhere-1 1\n")
    assert run('echo x >"$part"\n', 1234, name="other.sif") == "done"
    assert sorted(names_in(cache)) == ["image.sif", "other.sif"]
