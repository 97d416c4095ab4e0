"""Argument vectors of rsync over ssh, and what its messages mean. No I/O.

::

    pull:  rsync --files-from=- ... HOST:/ FOLDER/        the file's path arrives by stdin, as bytes that end with zero
    push:  rsync --files-from=- ... FOLDER/ HOST:ROOT/    the same, below ROOT; FOLDER has a link to the file

A path is therefore never a word of a shell, a pattern, or an option, whatever is in it. Options:
https://download.samba.org/pub/rsync/rsync.1 and https://man.openbsd.org/ssh_config; the first value of an option of ssh
counts, so that the user's come first.
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple, Optional

PARTIAL_FOLDER = ".cnflow-partial"
"""Folder beside an output, on the host, that keeps what came of it before its connection broke."""

MAKE_PARENTS = "--mkpath"
"""Option of rsync from version 3.2.3 on."""

_PATTERN = re.compile(r"[*?\[\\]")
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_@%+=:,./~-]+")
_KEEP_ALIVE = 15
_FILE_ERROR = 11
"""Exit code of rsync: error in file I/O."""

_MOST = 1000
"""Characters of a program's own words in a message."""


class Host(NamedTuple):
    """The machine that rsync connects to, as the node does it."""

    name: str
    """``user@host``, or ``host``."""

    port: Optional[int] = None
    key_file: Optional[str] = None
    agent: Optional[str] = None
    known_hosts: Optional[str] = None
    host_key: Optional[str] = None
    ssh_options: tuple[str, ...] = ()
    timeout: float = 60.0

    @property
    def address(self) -> str:
        """Name of the machine without the user, as ssh writes it to a file of known hosts."""
        host = self.name.rpartition("@")[2]
        return host if self.port in {None, 22} else f"[{host}]:{self.port}"


class Push(NamedTuple):
    """Where a file goes: *entry*, below the folder *root* of the host."""

    root: str
    entry: str


def pull_command(rsync: str, host: Host, known_hosts: str, folder: str, *, is_tree: bool) -> list[str]:
    """Command that brings the file whose path is in its stdin into *folder*, of this machine, which is absolute.

    *known_hosts* is the file to use; empty for that of ssh's configuration. *is_tree*: a folder.
    """
    return [
        *_beginning(rsync, host, known_hosts, is_tree=is_tree),
        "--partial",
        "--no-relative",
        f"{host.name}:/",
        f"{folder}/",
    ]


def pull_many_command(rsync: str, host: Host, known_hosts: str, folder: str) -> list[str]:
    """Command that brings the files whose paths are in its stdin, each to its own path below *folder*."""
    begin = _beginning(rsync, host, known_hosts, is_tree=False)
    return [*begin, "--partial", "--no-implied-dirs", f"{host.name}:/", f"{folder}/"]


def push_command(rsync: str, host: Host, known_hosts: str, folder: str, root: str, *, is_tree: bool) -> list[str]:
    """Command that takes the file in *folder* whose name is in its stdin to the folder *root* of *host*.

    Missing parents of *root* are made, which rsync can since version 3.2.3. *is_tree*: as for `pull_command`.
    """
    own = [MAKE_PARENTS, f"--partial-dir={PARTIAL_FOLDER}"]
    return [
        *_beginning(rsync, host, known_hosts, is_tree=is_tree),
        *own,
        f"{folder}/",
        f"{host.name}:{root.rstrip('/')}/",
    ]


def split_target(path: str) -> Push:
    """Split the absolute *path* of an output: rsync expands patterns in the part that is an argument.

    ``/out/[1]/x`` becomes ``/out`` and ``./[1]/x``; the ``./`` keeps a name from being taken for a comment.
    """
    folder, name = os.path.split(path)
    found = _PATTERN.search(folder)
    if found is None:
        return Push(folder, f"./{name}")
    root = folder[: found.start()].rpartition("/")[0] or "/"
    return Push(root, "./" + path[len(root) :].lstrip("/"))


def known_hosts_line(host: Host) -> str:
    """Line of a file of known hosts for the ``host_key`` of *host*."""
    return f"{host.address} {host.host_key}\n"


def _beginning(rsync: str, host: Host, known_hosts: str, *, is_tree: bool) -> list[str]:
    kept = ["--recursive", "--links", "--perms"] if is_tree else ["--copy-links"]
    return [
        rsync,
        "--from0",
        "--files-from=-",
        *kept,
        "--times",
        "--protect-args",
        f"--timeout={max(1, round(host.timeout))}",
        "-e",
        remote_shell(ssh_command(host, known_hosts)),
    ]


def ssh_command(host: Host, known_hosts: str) -> list[str]:
    """Command, without the name of the machine, by which rsync connects."""
    own = {
        "BatchMode": "yes",
        "ConnectTimeout": f"{max(1, round(host.timeout))}",
        "ServerAliveInterval": f"{_KEEP_ALIVE}",
        "ClearAllForwardings": "yes",
    }
    if host.key_file:
        own["IdentitiesOnly"] = "yes"
    if host.agent:
        own["IdentityAgent"] = host.agent
    if known_hosts:
        own["UserKnownHostsFile"] = known_hosts.replace("%", "%%")
    options = [word for name, value in own.items() for word in ("-o", f"{name}={_ssh_value(name, value)}")]
    port = ["-p", str(host.port)] if host.port else []
    key = ["-i", host.key_file] if host.key_file else []
    return ["ssh", *host.ssh_options, *options, *port, *key]


def _ssh_value(name: str, value: str) -> str:
    """*value* of an option of ssh; one that is a list of paths has its blanks in quotes."""
    return f'"{value}"' if name == "UserKnownHostsFile" and " " in value else value


def remote_shell(argv: list[str]) -> str:
    """*argv* as the value of rsync's option ``-e``: single quotes, of which two inside of them mean one."""
    return " ".join(word if _PLAIN_WORD.fullmatch(word) else "'" + word.replace("'", "''") + "'" for word in argv)


class Meaning(NamedTuple):
    """What a failure of rsync means."""

    words: str
    is_final: bool
    """Another try will fail, too."""


class _Case(NamedTuple):
    sign: str
    what: str
    advice: str
    is_final: bool = True


# Messages of OpenSSH 9 and rsync 3.1 to 3.5. The first that is found counts: a refused login ends with "connection
# unexpectedly closed", too.
_CASES = (
    _Case(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the host key of {host} is another one than the node knows: another machine may answer in its place",
        "Nothing was sent. Compare the fingerprint below with the host's, then correct host_key= or known_hosts=.",
    ),
    _Case(
        r"Host key verification failed|No \S+ host key is known",
        "the node does not know the host key of {host}, so that it cannot tell it from another machine",
        "Pass its public key as RSyncStaging(..., host_key='ssh-ed25519 AAAA...'): the host has it in "
        "/etc/ssh/ssh_host_ed25519_key.pub; or name a file of the node by known_hosts=.",
    ),
    _Case(
        r"UNPROTECTED PRIVATE KEY FILE|bad permissions",
        "ssh does not use the private key, since others can read it",
        "Make it private on the node: chmod 600 {key}",
    ),
    _Case(
        r"Identity file \S+ not accessible|no such identity",
        "the node has no private key {key}",
        "key_file= is a path on the node; in a container, pass the key as a secret of the image.",
    ),
    _Case(
        r"Permission denied \((?:publickey|password|keyboard|gssapi|hostbased)[^)]*\)",
        "{host} has refused the login",
        "The node needs a key that the host's authorized_keys has: key_file=, agent=, or a key in the node's ~/.ssh.",
    ),
    _Case(
        r"rsync: (?:command )?not found|rsync: No such file or directory|[Uu]nknown command: rsync",
        "there is no rsync on {host}",
        "Install it there: apt-get install rsync, or the like.",
    ),
    _Case(r"Could not resolve hostname", "the name of {host} has no address on the node", "Correct hostname=."),
    _Case(
        r"Connection refused",
        "nothing listens on the ssh port of {host}",
        "Correct hostname= or port=; the submitting machine must run sshd, and the node must reach it.",
        is_final=False,
    ),
    _Case(r"No space left on device|Disk quota exceeded", "{disk} is full", "Make room there."),
    _Case(r"Read-only file system", "{disk} is read-only", "Choose another folder."),
    _Case(r"vanished|change_dir .*No such file|link_stat .*No such file", "{path} does not exist on {host}", ""),
    _Case(r"mkdir .*No such file", "the folder of {path} does not exist on {host}", "Make it."),
    _Case(r"skipping directory|Is a directory|Not a directory", "{path} is no file on {host}", "Name a file."),
    _Case(r"Permission denied \(13\)", "{host} may not {verb} {path}, or the node its copy: permission denied", ""),
    _Case(
        r"timed out|Timeout, server|timeout in data|No route to host|Network is unreachable",
        "{host} does not answer",
        "Check that the node reaches it.",
        is_final=False,
    ),
    _Case(
        r"[Bb]ad configuration option|[Bb]ad owner or permissions|unknown option|usage: ssh|syntax or usage",
        "ssh or rsync refuses its options",
        "Correct ssh_options= and the other options.",
    ),
)


def meaning_of(code: int, stderr: str, host: Host, path: str, *, is_push: bool) -> Meaning:
    """Return what the exit code and the messages of rsync mean, with the part of the messages that tells it.

    Args:
        code: exit code.
        stderr: messages of rsync and ssh.
        host: that it connected to.
        path: of the file on that host.
        is_push: True if the file was sent to the host.
    """
    quoted = _quoted(stderr) or f"exit code {code}, without a message"
    for case in _CASES:
        if not re.search(case.sign, stderr):
            continue
        is_theirs = "[receiver" in stderr if is_push else "[sender" in stderr
        words = case.what.format(
            host=host.name,
            path=repr(path),
            key=host.key_file or "KEY",
            verb="write" if is_push else "read",
            disk=f"the disk of {host.name}" if is_theirs else "a disk",
        )
        advice = f" {case.advice.format(key=host.key_file or 'KEY')}" if case.advice else ""
        return Meaning(f"{words}.{advice} Its own words: {quoted}", case.is_final)
    if code == _FILE_ERROR:  # the message of the other end is lost where the connection ends before it
        disk = f"{host.name} could not write" if is_push else f"the node or {host.name} could not write or read"
        return Meaning(f"{disk} {path!r}; most likely its disk is full. {quoted}", is_final=False)
    return Meaning(f"rsync failed: {quoted}", is_final=False)


def _quoted(stderr: str) -> str:
    """The messages in one line, without those that follow from others."""
    lines = [line.strip() for line in stderr.splitlines()]
    kept = [line for line in lines if line and not re.match(r"@+$|rsync error: .*\(code|rsync: connection unexp", line)]
    return " | ".join(kept or [line for line in lines if line])[-_MOST:]
