"""Part of user data that lets the driver in by ssh, with keys that are drawn for one run. No I/O.

::

    host key that the driver pins ──> user, with the run's key ──> sshd reads them

The private host key is in the user data, which whoever may describe the account's machines can read: it guards one
machine, for one run.
"""

from __future__ import annotations

from typing import NamedTuple

USER = "cnflow"
"""User that is made where the settings name none."""

_SCRIPT = r"""umask 077
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
    for n in 1 2 3 4 5; do usermod -p '*' "$user" && break; sleep 1; done # another program may hold the file's lock
    sed -i "s/^$user:![^:]*:/$user:*:/" /etc/shadow # where there is no usermod; sshd refuses a locked user
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
"""


class SshKeys(NamedTuple):
    """Two pairs of keys in OpenSSH's format: of the run, and of the machine."""

    private: str
    public: str
    host_private: str
    host_public: str


def ssh_access(keys: SshKeys, user: str) -> str:
    """Return the part, which leaves the user's home folder in ``$home``, and a umask of 022.

    Args:
        keys: of the run and of the machine; the run's private key is not in it.
        user: who the driver logs in as; empty is `USER`.
    """
    values = {
        "HOST_KEY": keys.host_private.strip(),
        "HOST_PUBLIC_KEY": keys.host_public.strip(),
        "PUBLIC_KEY": keys.public.strip(),
        "USER": user or USER,
    }
    script = _SCRIPT
    for name, value in values.items():
        script = script.replace(f"@{name}@", value)
    return script
