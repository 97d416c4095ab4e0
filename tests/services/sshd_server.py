"""A real sshd of a test, on a loopback port, with keys of its own; what a user's shell does is a line of its settings.

::

    channel(**options) ── ssh -F none -i KEY ──> sshd, ForceCommand ──> tcsh -c COMMAND, noise, a profile that exits
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time

from cnflow.channels import SSHChannel
from tests.processes import children_of

AS_TCSH = 'exec tcsh -c "$SSH_ORIGINAL_COMMAND"'
"""What sshd does for a user whose login shell is tcsh (session.c: the shell's path, -c, the command)."""

KEYBOARD_INTERACTIVE = "UsePAM yes\nKbdInteractiveAuthentication yes\nPubkeyAuthentication no\n"


class Sshd:
    """An sshd, and the options with which ssh reaches it.

    Args:
        folder: of its keys and files; private.
        force_command: what runs in the place of the user's shell.
        settings: further lines of sshd_config.
        program: of the server; a copy under another name has its own PAM configuration.
    """

    def __init__(self, folder, *, force_command="", settings="", program="sshd"):
        self.folder = folder
        folder.mkdir(mode=0o700)
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.write_known_hosts()
        config = folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
            "StrictModes no\nPasswordAuthentication no\nPermitRootLogin yes\nPidFile none\nMaxStartups 100\n"
            + (settings or "UsePAM no\n")
            + (f"ForceCommand {force_command}\n" if force_command else "")
        )
        self._argv = [shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or program]
        self._argv += ["-D", "-e", "-f", str(config)]
        self._process = None
        self.start()

    def start(self):
        """Start it; one that was stopped has the same port and keys."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._argv, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self):
        """End it and its sessions."""
        self.cut()
        self._process.terminate()
        self._process.wait()

    def connections(self):
        """Processes that serve connections."""
        return children_of(self._process.pid)

    def cut(self):
        """Kill the processes that serve connections."""
        for child in self.connections():
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(child, signal.SIGKILL)

    def logins(self):
        """Number of logins so far."""
        return (self.folder / "log").read_text().count("Accepted ")

    def write_known_hosts(self, key="host"):
        """Make the client expect the key of that name."""
        words = (self.folder / f"{key}.pub").read_text().split()[:2]
        (self.folder / "known").write_text(f"[127.0.0.1]:{self.port} {' '.join(words)}\n")

    def options(self, *more):
        """Options of ssh: none of the user's own."""
        values = ["IdentitiesOnly=yes", f"UserKnownHostsFile={self.folder}/known", "GlobalKnownHostsFile=none", *more]
        return ["-F", "none", *(word for value in values for word in ("-o", value))]

    def settings(self, cls=SSHChannel, **options):
        """Settings of a channel to it."""
        options.setdefault("key_file", str(self.folder / "user"))
        options.setdefault("options", self.options())
        return cls(host="127.0.0.1", user=getpass.getuser(), port=self.port, **options)
