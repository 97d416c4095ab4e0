"""Sources of answers to ssh's questions: nobody, the user, a function, a token."""

from __future__ import annotations

import getpass
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Protocol

from cnflow.config.registry import load
from cnflow.errors import ChannelError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cnflow.config.channels import OAuthSSHChannel, SSHInteractiveLoginChannel
    from cnflow.units import Seconds

_ABOUT_HOST_KEY = "(yes/no"
"""Part of the question whether an unknown host key is right (OpenSSH 9.2, sshconnect.c)."""


class Answers(Protocol):
    """Answers questions of one channel.

    Attributes:
        asks_first: questions can be answered at the first login.
        asks_again: questions can be answered at later ones, too: nobody is disturbed.
        tries: wrong answers to one question before ssh gives up.
        options: of ssh, which such a login needs.
    """

    asks_first: bool
    asks_again: bool
    tries: int
    options: dict[str, str]

    def begin(self) -> None:
        """Called before each login that may ask.

        Raises:
            ChannelError: there will be no answers.
        """

    def answer(self, question: str) -> str | None:
        """Answer to *question*, which may have several lines; None refuses it."""


class NoAnswers:
    """Nobody is asked."""

    asks_first = asks_again = False
    tries = 1
    options: dict[str, str] = {}  # noqa: RUF012 - read only

    def begin(self) -> None:
        """Never called."""

    def answer(self, question: str) -> str | None:
        """None."""
        del question
        return None


class UserAnswers:
    """The user, on the terminal or in a notebook, or a function."""

    asks_first = True
    tries = 3
    options: dict[str, str] = {}  # noqa: RUF012 - read only

    def __init__(self, settings: SSHInteractiveLoginChannel) -> None:
        self._settings = settings
        self.asks_again = settings.asks_again

    def begin(self) -> None:
        """See `Answers`; nothing."""

    def answer(self, question: str) -> str | None:
        """Ask; an end of file and Ctrl-D refuse."""
        ask = function_of(self._settings.prompt, "prompt") or ask_on_terminal
        try:
            return str(ask(question))
        except EOFError:
            return None


class TokenAnswers:
    """A token, fetched for each login."""

    asks_first = asks_again = True
    tries = 1
    options = {  # noqa: RUF012 - read only
        "PreferredAuthentications": "keyboard-interactive,password",
        "PubkeyAuthentication": "no",
        "StrictHostKeyChecking": "yes",
    }

    def __init__(self, settings: OAuthSSHChannel) -> None:
        self._settings = settings
        self._token: str | None = None

    def begin(self) -> None:
        """Fetch the token.

        Raises:
            ChannelError: its command failed.
        """
        function = function_of(self._settings.token, "token")
        self._token = str(function()) if function else _token_of(self._settings)
        if not self._token or "\n" in self._token:
            source = self._settings.token_command[:1] or ["the function token="]
            raise ChannelError(
                f"The token for {self._settings.host} must be one line; {source[0]} gave none or several."
            )

    def answer(self, question: str) -> str | None:
        """The token, once, and never to the question about a host key."""
        if _ABOUT_HOST_KEY in question:
            return None
        token, self._token = self._token, None
        return token


def ask_on_terminal(question: str) -> str:
    """Ask the user: on the terminal, or in the cell of a notebook; what is typed is not shown.

    Raises:
        ChannelError: there is neither.
    """
    if _ABOUT_HOST_KEY in question:
        if not sys.stdin.isatty() and "ipykernel" not in sys.modules:
            raise _nobody(question)
        return input(question)
    if "ipykernel" not in sys.modules and not _has_terminal():
        raise _nobody(question)
    try:
        return getpass.getpass(question)
    except NotImplementedError:  # a notebook that is run without its user
        raise _nobody(question) from None


def function_of(value: Callable[..., Any] | str | None, option: str) -> Callable[..., Any] | None:
    """The function that an option names.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if not isinstance(value, str):
        return value
    if ":" not in value:
        raise ConfigurationError(f"{option}={value!r} must be 'module:function', or a function.")
    function: Callable[..., Any] = load(value, f"The function {option}={value!r}")
    return function


def _token_of(settings: OAuthSSHChannel) -> str:
    command: list[str] = settings.token_command
    limit: Seconds | float = settings.token_timeout
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=limit, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ChannelError(f"{command[0]} gave no token within {limit:g} s. Raise token_timeout=, or run it.") from None
    except OSError as error:
        raise ChannelError(f"{command[0]}, which gives the token, cannot be started: {error.strerror}.") from None
    if done.returncode:
        words = done.stderr.strip()[-400:]
        raise ChannelError(f"{command[0]} gave no token (exit code {done.returncode}): {words}. Run it by hand.")
    return done.stdout.strip()


def _has_terminal() -> bool:
    try:
        with open("/dev/tty", "rb"):  # noqa: PTH123 - a device
            return True
    except OSError:
        return False


def _nobody(question: str) -> ChannelError:
    return ChannelError(
        f"ssh asks {question.strip()!r}, and there is no terminal to ask the user on. Start the script on a terminal, "
        "or give the channel a function: prompt=..."
    )
