"""What ssh's words mean, and the user's next step; pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from cnflow.channels.ssh_command import by_hand, destination
from cnflow.config.channels import SSHChannel

if TYPE_CHECKING:
    from cnflow.config.channels import SSHSettings

_MOST = 1200
"""Characters of ssh's words in a message."""

UNSENT = re.compile(r"Connection closed by UNKNOWN port 65535|kex_exchange_identification")
"""Words of a session that found no connection at its socket: nothing was sent."""

FULL = re.compile(r"Session open refused by peer|session request failed|channel \d+: open failed: connect failed")
"""Words of a session for which the machine has no room."""

_BROKEN = re.compile(r"read from master failed|mux_client_\w+: .*(?:failed|master)")


class Failure(NamedTuple):
    """A login that failed."""

    message: str
    needs_user: bool
    """Another try will fail, too, until the user has done something."""


class _Case(NamedTuple):
    sign: str
    what: str
    advice: str
    needs_user: bool = True


# Messages of OpenSSH 9.2 (ssh.c, sshconnect.c, sshconnect2.c, readconf.c) and of the C library's resolver.
_CASES = (
    _Case(
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "The host key of {host} is another one than ~/.ssh/known_hosts has: the machine was installed anew, or another "
        "machine answers in its place. Nothing was sent to it.",
        "Ask the site for the fingerprint of its key. If it is the one below, remove the old key: ssh-keygen -R {name}",
    ),
    _Case(
        r"Host key verification failed|No \S+ host key is known",
        "The host key of {host} is not known here, so that it cannot be told from another machine.",
        "Log in once by hand, compare the fingerprint with the site's, and answer yes: {by_hand}",
    ),
    _Case(
        r"UNPROTECTED PRIVATE KEY FILE|bad permissions",
        "ssh does not use the private key for {host}, which others can read.",
        "Make it private: chmod 600 KEY",
    ),
    _Case(
        r"Too many authentication failures",
        "{host} has ended the login after several wrong keys.",
        "Name the right one by key_file=, and add options=['-o', 'IdentitiesOnly=yes'].",
    ),
    _Case(
        r"Identity file .* not accessible|no such identity",
        "The private key for {host} is not there.",
        "Correct key_file=.",
    ),
    _Case(r"Permission denied", "{host} has refused the login.", "{login_advice}"),
    _Case(
        r"Could not resolve hostname",
        "The name of {host} has no address here.",
        "Correct host=, or add the name to ~/.ssh/config; a VPN may have to be on.",
        needs_user=False,
    ),
    _Case(
        r"Connection refused",
        "{host} is there, and nothing listens on the port of its ssh.",
        "Correct port=, or wait until the site is up.",
        needs_user=False,
    ),
    _Case(
        r"timed out|No route to host|Network is unreachable",
        "{host} does not answer.",
        "Check the network of this machine: some sites need a VPN, or jump='GATEWAY'. By hand: {by_hand}",
        needs_user=False,
    ),
    _Case(
        r"Bad configuration option|[Bb]ad owner or permissions|[Tt]erminating, \d+ bad|usage: ssh|unknown option"
        r"|[Cc]annot specify|too long for Unix domain socket",
        "ssh refuses its options for {host}.",
        "Correct ~/.ssh/config or the channel's options=; program= must be OpenSSH's ssh.",
    ),
    _Case(
        r"(?i)password (?:has )?expired|must change your password|account (?:has )?expired",
        "The account or its password on {host} has expired.",
        "Log in by hand, and follow what the site asks for: {by_hand}",
    ),
)


def login_failure(settings: SSHSettings, words: str, output: str = "", *, exit_code: int | None = None) -> Failure:
    """Explain a login that failed.

    Args:
        settings: of the channel.
        words: of ssh, on stderr.
        output: of the login shell, on stdout.
        exit_code: of ssh; None if it did not end in time.
    """
    case = next((case for case in _CASES if re.search(case.sign, words)), None)
    if case is not None:
        return Failure(_message(settings, case.what, case.advice, words), case.needs_user)
    if exit_code is None:
        what = f"The login to {{host}} was not complete in {settings.connect_timeout:g} s."
        advice = "Try it by hand, and if it is slow, raise connect_timeout=: {by_hand}"
        return Failure(_message(settings, what, advice, f"{words}\n{output}"), needs_user=False)
    if exit_code == 255:  # noqa: PLR2004 - ssh's own failures
        advice = "Try it by hand: {by_hand}"
        return Failure(_message(settings, "The connection to {host} was not made.", advice, words), needs_user=False)
    what = f"The login shell of {{host}} ended with exit code {exit_code} before a command ran."
    advice = (
        "A profile that exits or starts another program does this: let ~/.bashrc (~/.cshrc, ~/.tcshrc) do nothing for "
        "shells without a terminal, e.g. by [ -t 0 ] || return as its first line."
    )
    return Failure(_message(settings, what, advice, f"{output}\n{words}"), needs_user=True)


def missing_program(settings: SSHSettings, error: OSError) -> Failure:
    """Explain a client that cannot be started."""
    return Failure(
        f"{settings.program} cannot be started: {error.strerror}. Install OpenSSH's client (Debian: openssh-client), "
        "or correct program=.",
        needs_user=True,
    )


def no_room(settings: SSHSettings, words: str) -> str:
    """Message for a machine that refuses further sessions."""
    what = "{host} refuses another session on the connection."
    advice = f"Set max_sessions= below the site's MaxSessions (it is {settings.max_sessions})."
    return _message(settings, what, advice, words)


def lost_connection(settings: SSHSettings, argv0: str, words: str) -> str:
    """Message for a command during which the connection broke."""
    what = f"The connection to {{host}} broke while {argv0} ran; whether it has run is not known."
    return _message(settings, what, "It is made again by the next command.", words)


def lost_login(settings: SSHSettings, socket: str, failure: Failure) -> Failure:
    """Add to *failure* that the user can log in by hand, for a channel that asks."""
    advice = f"The connection was lost, and cnflow does not ask twice. Log in again by: {by_hand(settings, socket)}"
    return failure._replace(message=f"{failure.message}\n{advice}")


def is_unsent(words: str) -> bool:
    """True if a session failed before its command was sent."""
    return bool(UNSENT.search(words)) and not _BROKEN.search(words) and not FULL.search(words)


def _message(settings: SSHSettings, what: str, advice: str, words: str) -> str:
    values = {
        "host": destination(settings),
        "name": settings.host.rpartition("@")[2]
        if settings.port in {None, 22}
        else f"'[{settings.host.rpartition('@')[2]}]:{settings.port}'",
        "by_hand": by_hand(settings),
        "login_advice": _login_advice(settings, words),
    }
    quoted = words.strip()[-_MOST:]
    said = "\n".join(f"    {line.rstrip()}" for line in quoted.splitlines() if line.strip())
    text = f"{what.format_map(values)} {advice.format_map(values)}"
    return f"{text}\nssh printed:\n{said}" if said else text


def _login_advice(settings: SSHSettings, words: str) -> str:
    """Next step after a login that was refused, by the methods that the machine takes."""
    methods = re.findall(r"Permission denied \(([^)]*)\)", words)
    asks = bool(methods) and any(name in methods[-1] for name in ("keyboard-interactive", "password"))
    if isinstance(settings, SSHChannel):
        key = "Add the key to the agent by ssh-add, or name it by key_file=; its public half must be known to the site"
        if asks:
            return f"{key}. If the site asks for a password or a token, use SSHInteractiveLoginChannel."
        return f"{key}. By hand: {{by_hand}}".format(by_hand=by_hand(settings))
    return f"Check the answers, and user=. By hand: {by_hand(settings)}"
