"""File system of fsspec for SFTP that speaks to known hosts only; fsspec's own takes any host key."""

from __future__ import annotations

import os

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem


class KnownHostsSFTP(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """Refuses hosts whose key is not in the file of the option ``known_hosts``, or in that of the user."""

    def _connect(self) -> None:
        options = dict(self.ssh_kwargs)
        known, timeout = options.pop("known_hosts", None), options.get("timeout")
        self.client = paramiko.SSHClient()
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        self.client.load_system_host_keys(known and os.path.expanduser(known))
        self.client.connect(self.host, banner_timeout=timeout, auth_timeout=timeout, **options)
        self.ftp = self.client.open_sftp()
        self.ftp.get_channel().settimeout(timeout)
