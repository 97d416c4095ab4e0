"""The end of a machine of Compute Engine: it deletes itself, with its disk; shell commands, and pure.

::

    metadata server ──> token of the machine's account, project, zone, name
    DELETE .../instances/NAME ── with that token ──> it is gone a minute later; `shutdown` comes at once
"""

from __future__ import annotations

_GOOGLE = "https://compute.googleapis.com"

# A machine that shuts down is stopped and keeps its disk: it asks to be deleted, with the rights of its account.
_COMMANDS = """\
ask() { # ask METHOD URL HEADER
  if command -v curl >/dev/null; then curl -sf -m 30 -X "$1" -H "$3" "$2"
  elif command -v wget >/dev/null; then wget -qO- -T 30 --method="$1" --header "$3" "$2"
  else python3 -c 'import sys, urllib.request as u; m, a, h = sys.argv[1:]
print(u.urlopen(u.Request(a, method=m, headers=dict([h.split(": ", 1)])), timeout=30).read().decode())' "$@"; fi
}
fact() { ask GET "http://metadata.google.internal/computeMetadata/v1/$1" 'Metadata-Flavor: Google' | tail -n 1; }
token=$(fact instance/service-accounts/default/token | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')
place=projects/$(fact project/project-id)/zones/$(fact instance/zone | sed 's,.*/,,')/instances/$(fact instance/name)
ask DELETE "@API@/compute/v1/$place" "Authorization: Bearer $token" >/dev/null
"""


def end_commands(endpoint: str = "") -> str:
    """Return the commands, which need curl, wget or python3; *endpoint* is the API's address, empty is Google's."""
    return _COMMANDS.replace("@API@", endpoint.rstrip("/") or _GOOGLE)
