"""User data of the machine of an interchange: keys of ssh, and an end when no interchange runs any more. No I/O.

::

    boot ──> host key that the driver pins ──> user, with the run's key ──> sshd reads them
         └─> every ten seconds: does an interchange run? ── none for a minute ──> shutdown, which ends the machine

The private host key is in the user data, which whoever may describe the account's machines can read: it guards this one
machine, for this one run, and no key of the interchange or of a task passes in the clear.
"""

from __future__ import annotations

from typing import NamedTuple

USER = "cnflow"
"""User that is made where the settings name none."""

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
end_later &
umask 077
key=/etc/ssh/ssh_host_ed25519_key
mkdir -p /etc/ssh
cat > "$key" <<'CNFLOW_END'
@HOST_KEY@
CNFLOW_END
cat > "$key.pub" <<'CNFLOW_END'
@HOST_PUBLIC_KEY@
CNFLOW_END
chmod 600 "$key"; chmod 644 "$key.pub"
user=@USER@
if ! id "$user" >/dev/null 2>&1; then
    useradd -m -s /bin/sh "$user" 2>/dev/null || adduser -D -s /bin/sh "$user" ||
        adduser --disabled-password --gecos '' "$user"
    usermod -p '*' "$user" 2>/dev/null || sed -i "s/^$user:!:/$user:*:/" /etc/shadow
fi
home=$(awk -F: -v user="$user" '$1 == user { print $6 }' /etc/passwd)
mkdir -p "$home/.ssh"
cat >> "$home/.ssh/authorized_keys" <<'CNFLOW_END'
@PUBLIC_KEY@
CNFLOW_END
chmod 700 "$home/.ssh"; chmod 600 "$home/.ssh/authorized_keys"
chown -R "$user" "$home/.ssh"
command -v restorecon >/dev/null 2>&1 && restorecon -R "$home/.ssh" /etc/ssh
umask 022
systemctl restart sshd 2>/dev/null || systemctl restart ssh 2>/dev/null || service ssh restart 2>/dev/null ||
    service sshd restart 2>/dev/null || { [ -f /run/sshd.pid ] && kill -HUP "$(cat /run/sshd.pid)"; } ||
    { mkdir -p /run/sshd; "$(command -v sshd || echo /usr/sbin/sshd)"; }
echo "=== cnflow: ready for ssh ==="
wait
"""


class SshKeys(NamedTuple):
    """Two pairs of keys in OpenSSH's format: of the run, and of the machine."""

    private: str
    public: str
    host_private: str
    host_public: str


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
        "HOST_KEY": keys.host_private.strip(),
        "HOST_PUBLIC_KEY": keys.host_public.strip(),
        "PUBLIC_KEY": keys.public.strip(),
        "USER": user or USER,
    }
    script = _SCRIPT
    for name, value in values.items():
        script = script.replace(f"@{name}@", value)
    return script
