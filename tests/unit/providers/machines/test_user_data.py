"""User data of machines: text alone."""

import subprocess
from dataclasses import replace

import pytest

from cnflow.errors import BlockRejectedError
from cnflow.providers._shared.machines.certificate import new_identity
from cnflow.providers._shared.machines.interchange_data import interchange_user_data
from cnflow.providers._shared.machines.ssh_access import SshKeys, ssh_access
from cnflow.providers._shared.machines.user_data import BootAddress, BootPlan, user_data

IDENTITY = new_identity(("10.0.0.1", "interchange.example"))
SERVER = BootAddress(("10.0.0.1", "fd00::1"), 4444, IDENTITY.pin, "a" * 64)
PLAN = BootPlan("cnflow-r1-htex-0", 2, "x86_64", 300.0, SERVER)
PAIRS = SshKeys("PRIVATE run", "run.pub", "host", "host.pub")
PUSHED = replace(PLAN, server=None, access=ssh_access(PAIRS, ""))


def is_posix(text):
    """Whether a POSIX shell takes *text*."""
    return subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def test_user_data_leaves_room_for_the_commands_of_the_user():
    text = user_data(PLAN)
    assert is_posix(text)
    assert text.startswith("#!/bin/sh\n")
    assert len(text) < 8 * 1024
    assert "@" not in text.replace('"@$4"', "").replace('"$@"', "")


def test_addresses_are_written_as_in_urls():
    assert "hosts='10.0.0.1 [fd00::1]'\n" in user_data(PLAN)


def test_user_data_holds_no_key():
    assert "PRIVATE" not in user_data(PLAN)


def test_commands_of_the_user_stay_as_they_are():
    commands = "echo '@TOKEN@' \"$HOME\" `id` @USER@\ncat <<END\nEND\n"
    text = user_data(replace(PLAN, commands=commands))
    assert f"\n{commands}" in text
    assert is_posix(text)


def test_machine_that_waits_for_the_driver_has_keys_of_ssh_in_place_of_a_token():
    text = user_data(replace(PUSHED, commands="echo @SSH@"))
    assert is_posix(text)
    assert "run.pub" in text
    assert "PRIVATE run" not in text
    assert "token" not in text
    assert "\necho @SSH@\n" in text
    assert "@" not in user_data(PUSHED).replace('"$@"', "")


def test_machine_that_must_do_more_than_shut_down_does_it_before():
    text = user_data(replace(PLAN, ending="curl -X DELETE instance"))
    assert "curl -X DELETE instance\n  shutdown -h now" in text
    assert is_posix(text)


def test_longest_life_is_in_seconds():
    assert "timeout=300 life=3600\n" in user_data(replace(PLAN, longest_life=3600.0))
    assert "timeout=300 life=\n" in user_data(PLAN)


def test_user_data_that_is_too_long_is_refused():
    with pytest.raises(BlockRejectedError, match=r"Shorten the option user_data"):
        user_data(replace(PLAN, commands="x" * 12000))


def test_certificate_is_valid_whatever_the_clock_of_a_machine():
    from cryptography import x509

    made = x509.load_pem_x509_certificate(IDENTITY.pin.certificate.encode())
    assert (made.not_valid_before_utc.year, made.not_valid_after_utc.year) == (2000, 2099)


def test_machine_of_an_interchange_that_boots_again_ends_itself_as_well(tmp_path):
    text = interchange_user_data(PAIRS, "ann", first_within=60.0)
    assert is_posix(text)
    start, end = text.index("per_boot="), text.index("end_later &")
    script = tmp_path / "user-data"
    script.write_text(text[start:end].replace("/var/lib/cloud", str(tmp_path)))
    for path in (script, tmp_path / "scripts" / "per-boot" / "cnflow"):
        assert subprocess.run(["sh", path], check=True, capture_output=True).stderr == b""
    assert (tmp_path / "scripts" / "per-boot" / "cnflow").read_text() == script.read_text()


def test_machine_ends_though_its_report_is_never_sent(tmp_path):
    text = user_data(PLAN)
    function = text[text.index("fail() {") : text.index("\n}\n", text.index("fail() {")) + 3]
    stand_ins = "sleep() { :; }; attempt() { command sleep 60; }; end_machine() { touch ended; }; hosts=h\n"
    waits = "for n in $(seq 100); do [ -e ended ] || command sleep 0.1; done"
    script = f": >boot.log; {stand_ins}{function}fail 'no code' &\n{waits}"
    done = subprocess.run(
        ["sh", "-c", f"{script}; kill 0"], cwd=tmp_path, start_new_session=True, timeout=30, check=False
    )
    assert done.returncode != 0  # killed with what hangs
    assert (tmp_path / "report").exists()
    assert (tmp_path / "ended").exists()
