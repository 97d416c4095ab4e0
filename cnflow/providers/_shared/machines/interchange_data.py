"""User data of the machine of an interchange: keys of ssh, and an end when no interchange runs any more. No I/O.

::

    boot ──> host key that the driver pins ──> user, with the run's key ──> sshd reads them
         └─> every ten seconds: does an interchange run? ── none for a minute ──> shutdown, which ends the machine

The private host key is in the user data, which whoever may describe the account's machines can read: it guards this one
machine, for this one run, and no key of the interchange or of a task passes in the clear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.providers._shared.machines.ssh_access import ssh_access

if TYPE_CHECKING:
    from cnflow.providers._shared.machines.ssh_access import SshKeys

_QUIET = 60
"""Seconds without an interchange, after the first one, after which the machine ends."""

_SCRIPT = r"""#!/bin/sh
# cnflow: machine of an interchange; it ends itself soon after the last interchange, which ends without its driver.
end_later() {
    quiet=0
    limit=@FIRST@
    while [ "$quiet" -lt "$limit" ]; do
        sleep 10
        if grep -ls 'cnflow/[i]nterchange' /proc/[0-9]*/cmdline >/dev/null 2>&1; then
            quiet=0; limit=@QUIET@
        else
            quiet=$((quiet + 10))
        fi
    done
    echo "=== cnflow: no interchange for $quiet s: this machine ends ==="
    @ENDING@
    shutdown -h now || poweroff || halt -p
}
per_boot=/var/lib/cloud/scripts/per-boot
if [ -f "$0" ] && mkdir -p "$per_boot" 2>/dev/null && ! [ "$0" -ef "$per_boot/cnflow" ]; then
    cp "$0" "$per_boot/cnflow" && chmod 700 "$per_boot/cnflow" # a machine that boots again ends itself as well
fi
end_later &
@ACCESS@echo "=== cnflow: ready for ssh ==="
wait
"""


def interchange_user_data(keys: SshKeys, user: str, *, first_within: float, ending: str = "") -> str:
    """Return the user data.

    Args:
        keys: of the run and of the machine; the run's private key is not in it.
        user: who the driver logs in as.
        first_within: seconds within which the first interchange must run; later ones follow each other at once.
        ending: commands that run before the machine shuts down, as `MachineSettings.end_commands`.
    """
    values = {
        "QUIET": f"{_QUIET}",
        "ENDING": ending,
        "FIRST": f"{max(60, round(first_within))}",
        "ACCESS": ssh_access(keys, user),
    }
    script = _SCRIPT
    for name, value in values.items():
        script = script.replace(f"@{name}@", value)
    return script
