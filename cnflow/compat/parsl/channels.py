"""Parsl's channels."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SecretStr

from cnflow.compat.parsl.options import ParslSettings
from cnflow.config import channels
from cnflow.errors import ChannelError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from cnflow.channels.ssh import SSHBackend

_RENAMED = {"hostname": "host", "username": "user", "envs": "environment", "key_filename": "key_file"}


class LocalChannel(ParslSettings, channels.LocalChannel):
    """`cnflow.config.channels.LocalChannel` with Parsl's parameters; commands run in the current folder."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("userhome", "envs", "script_dir")
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("userhome", "envs", "script_dir")


class SSHChannel(ParslSettings, channels.SSHSettings):
    """`cnflow.config.channels.SSHChannel` with Parsl's parameters; ``script_dir`` is the provider's ``site_dir``."""

    backend: ClassVar[str] = "cnflow.compat.parsl.channels:ssh_backend"
    POSITIONAL: ClassVar[tuple[str, ...]] = (
        *("hostname", "username", "password", "script_dir", "envs", "gssapi_auth", "skip_auth", "port"),
        *("key_filename", "host_keys_filename"),
    )
    RENAMED: ClassVar[Mapping[str, str]] = _RENAMED
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("script_dir", "skip_auth")
    kind: Literal["ssh"] = "ssh"
    password: SecretStr | None = Field(default=None, exclude=True)
    """Answers the questions of the login; not part of a configuration file."""

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; options of Kerberos and of known hosts are options of ssh."""
        translated = super().translate(given)
        options = list(translated.get("options", []))
        if translated.pop("gssapi_auth", False):
            options += ["-o", "GSSAPIAuthentication=yes"]
        if known := translated.pop("host_keys_filename", None):
            options += ["-o", f"UserKnownHostsFile={known}"]
        return _without_none({**translated, "options": options})


class SSHInteractiveLoginChannel(ParslSettings, channels.SSHInteractiveLoginChannel):
    """`cnflow.config.channels.SSHInteractiveLoginChannel` with Parsl's parameters; the user is asked for passwords."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("hostname", "username", "password", "script_dir", "envs")
    RENAMED: ClassVar[Mapping[str, str]] = _RENAMED
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("password", "script_dir")

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`."""
        return _without_none(super().translate(given))


class OAuthSSHChannel(ParslSettings, channels.OAuthSSHChannel):
    """`cnflow.config.channels.OAuthSSHChannel` with Parsl's parameters; the token is that of the package oauth-ssh."""

    POSITIONAL: ClassVar[tuple[str, ...]] = ("hostname", "username", "script_dir", "envs", "port")
    RENAMED: ClassVar[Mapping[str, str]] = _RENAMED
    WITHOUT_EFFECT: ClassVar[Collection[str]] = ("script_dir",)

    @classmethod
    def translate(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Translate as `ParslSettings.translate`; without a source, the token is that of the package oauth-ssh."""
        translated = _without_none(super().translate(given))
        if not {"token", "token_command"} & translated.keys():
            translated["token"] = _TokenOfOauthSsh(str(translated.get("host", "")))
        return translated


class _TokenOfOauthSsh:
    """Finds the token that ``oauth-ssh-token authorize`` has stored, as Parsl 0.9 does."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __call__(self) -> str:
        try:
            module = importlib.import_module("oauth_ssh.oauth_ssh_token")
        except ModuleNotFoundError:
            raise ChannelError(
                "OAuthSSHChannel takes the token of the package oauth-ssh, which is not installed. Run: pip install "
                "oauth-ssh, or give token_command=['command', ...]."
            ) from None
        return str(module.find_access_token(self._host))

    def __repr__(self) -> str:
        return f"<token of oauth-ssh for {self._host}>"


def ssh_backend(settings: SSHChannel) -> SSHBackend:
    """Make the live half of a channel that may have a password."""
    from cnflow.channels.answers import TokenAnswers  # noqa: PLC0415 - the live half is imported on use
    from cnflow.channels.ssh import SSHBackend  # noqa: PLC0415 - as above

    password = settings.password
    if password is None:
        return SSHBackend(settings)
    source = channels.OAuthSSHChannel(host=settings.host, token=password.get_secret_value)
    return SSHBackend(settings, TokenAnswers(source))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
