"""Scripts for a site and their output."""

import subprocess

import pytest

from cnflow.errors import ConfigurationError
from cnflow.sites.failures import advice_on
from cnflow.sites.scripts import addresses_of, expression_of, facts_of


@pytest.mark.parametrize(
    ("path", "expanded"),
    [
        ("~/.cnflow", "/home/ada/.cnflow"),
        ("~", "/home/ada"),
        ("$SCRATCH/it's $(here) `x`", "/scratch/a b/it's $(here) `x`"),
        ("${SCRATCH}2/*", "/scratch/a b2/*"),
        ("/plain/~/x", "/plain/~/x"),
        ("/a;b&c\"d\\e'f", "/a;b&c\"d\\e'f"),
    ],
)
def test_tilde_and_variables_of_a_folder_are_expanded_and_nothing_else_is(path, expanded):
    variables = {"HOME": "/home/ada", "SCRATCH": "/scratch/a b", "PATH": "/usr/bin:/bin"}
    script = f'folder={expression_of(path)}; printf %s "$folder"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, env=variables, check=True)
    assert done.stdout == expanded


def test_variable_that_is_not_set_at_the_site_ends_the_script_with_its_name():
    done = subprocess.run(
        ["sh", "-c", f"folder={expression_of('$NO_SUCH/x')}"], capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "NO_SUCH: is not set at the site" in done.stderr
    assert "Correct the variable" in advice_on(done.stderr)


@pytest.mark.parametrize("path", ["", "a\nb"])
def test_folder_without_a_name_or_of_two_lines_is_refused(path):
    with pytest.raises(ConfigurationError, match="cannot be a folder"):
        expression_of(path)


def test_facts_are_read_between_other_lines():
    facts = facts_of(
        "folder /home/ada/.cnflow\nhome /home/ada\nuser ada\nhost login1\nmachine x86_64\nlibc glibc\n"
        "address 3: eth0    inet 10.1.0.7/16 brd 10.1.255.255 scope global eth0\nodd line\n"
        'found /usr/bin/sbatch\npython {"version": "3.9.1", "implementation": "CPython", "machine": "x86_64", '
        '"libc": "glibc 2.36", "executable": "/usr/bin/python3"}\n'
    )
    assert facts is not None
    assert (facts.folder, facts.user, facts.libc, facts.found) == (
        "/home/ada/.cnflow",
        "ada",
        "glibc",
        ("/usr/bin/sbatch",),
    )
    assert facts.addresses == ("10.1.0.7",)
    assert facts.python is not None
    assert facts.python.minor == (3, 9)


def test_output_that_lacks_a_fact_gives_none():
    assert facts_of("folder /x\nhome /root\n") is None


def test_addresses_of_containers_come_last_and_loopback_is_left_out():
    lines = [
        "1: lo    inet 127.0.0.1/8 scope host lo",
        "2: docker0    inet 172.17.0.1/16 brd 172.17.255.255 scope global docker0",
        "3: ib0    inet6 fd00::7/64 scope global",
        "3: ib0    inet 10.1.0.7/16 brd 10.1.255.255 scope global ib0",
    ]
    assert addresses_of(lines) == ("10.1.0.7", "fd00::7", "172.17.0.1")
    assert addresses_of(["10.0.0.2 192.168.1.3 fe80::1 "]) == ("10.0.0.2", "192.168.1.3")


def test_quota_no_space_and_others_have_advice_of_their_own():
    quota = advice_on("tar: x: Cannot write: Disk quota exceeded")
    assert "site_dir=" in quota
    assert len({quota, advice_on("No space left on device"), advice_on("strange")}) == 3
