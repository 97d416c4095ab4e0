"""Argument vectors of rsync, and what its messages mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnflow.tasks.staging.rsync_command import (
    Host,
    known_hosts_line,
    meaning_of,
    pull_command,
    push_command,
    remote_shell,
    split_target,
    ssh_command,
)

HOST = Host("me@1.2.3.4", port=2222, key_file="/keys/a b", ssh_options=("-o", "ProxyJump=gate"))


def test_path_of_a_file_is_no_argument():
    argv = pull_command("rsync", HOST, "", "/copies/x", is_tree=False)
    assert argv[-2:] == ["me@1.2.3.4:/", "/copies/x/"]
    assert "--files-from=-" in argv
    assert "--from0" in argv
    argv = push_command("rsync", HOST, "", "/copies/x", "/out", is_tree=False)
    assert argv[-2:] == ["/copies/x/", "me@1.2.3.4:/out/"]


def test_options_of_the_user_come_first_since_ssh_takes_the_first_value():
    argv = ssh_command(HOST, "/tmp/known hosts")
    assert argv[:3] == ["ssh", "-o", "ProxyJump=gate"]
    assert argv[-4:] == ["-p", "2222", "-i", "/keys/a b"]
    assert 'UserKnownHostsFile="/tmp/known hosts"' in argv
    assert "BatchMode=yes" in argv
    assert "IdentitiesOnly=yes" in argv


def test_remote_shell_has_rsyncs_own_quotes():
    assert remote_shell(["ssh", "-i", "/a b/it's"]) == "ssh -i '/a b/it''s'"


@pytest.mark.parametrize(
    ("path", "root", "entry"),
    [
        ("/out/x", "/out", "./x"),
        ("/x", "/", "./x"),
        ("/out/#x", "/out", "./#x"),
        ("/out/[1]/sub/x", "/out", "./[1]/sub/x"),
        ("/out*/x", "/", "./out*/x"),
        ("/a\\b/x", "/", "./a\\b/x"),
    ],
)
def test_part_of_a_path_that_is_a_pattern_is_no_argument(path, root, entry):
    assert split_target(path) == (root, entry)


@given(st.lists(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1), min_size=1))
def test_parts_of_a_target_make_the_path_again(parts):
    path = "/" + "/".join(parts)
    root, entry = split_target(path)
    assert root.rstrip("/") + entry[1:] == path
    assert not set(root) & set("*?[\\")


def test_known_host_has_its_port():
    assert known_hosts_line(HOST._replace(host_key="ssh-ed25519 AAAA")) == "[1.2.3.4]:2222 ssh-ed25519 AAAA\n"
    assert known_hosts_line(Host("h", host_key="ssh-rsa B")) == "h ssh-rsa B\n"


CASES = [
    (255, "Host key verification failed.\nrsync: connection unexpectedly closed", "does not know the host key", True),
    (255, "root@h: Permission denied (publickey,password).", "has refused the login", True),
    (127, "bash: line 1: rsync: command not found", "there is no rsync on h", True),
    (255, "ssh: Could not resolve hostname h: Name or service not known", "has no address on the node", True),
    (255, "ssh: connect to host h port 22: Connection refused", "nothing listens", False),
    (
        30,
        "[sender] io timeout after 60 seconds\nrsync error: timeout in data send/receive",
        "not answer",
        False,
    ),
    (23, 'rsync: [sender] link_stat "/x" failed: No such file or directory (2)', "'/x' does not exist on h", True),
    (23, 'rsync: [sender] send_files failed to open "/x": Permission denied (13)', "may not read '/x'", True),
    (11, 'rsync: [receiver] write failed on "/x": No space left on device (28)', "is full. Make room there", True),
    (11, "", "most likely its disk is full", False),
    (12, "", "exit code 12, without a message", False),
]


@pytest.mark.parametrize(("code", "stderr", "said", "is_final"), CASES, ids=[case[2] for case in CASES])
def test_messages_are_told_in_words_with_rsyncs_own(code, stderr, said, is_final):
    meaning = meaning_of(code, stderr, Host("h"), "/x", is_push=False)
    assert said in meaning.words
    assert meaning.is_final == is_final
