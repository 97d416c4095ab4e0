r"""POSIX sh that runs at a site, and its output; pure.

::

    facts_script("~/.cnflow") ──sh, over a channel──> "folder /home/ada/.cnflow\nmachine x86_64\n..." ──> SiteFacts
"""

from __future__ import annotations

import ipaddress
import re
import shlex

from cnflow.capsule import PROBE_OPTIONS, parse_probe
from cnflow.errors import ConfigurationError
from cnflow.sites.site import SiteFacts

_PART = re.compile(r"\$\{(?P<braced>[A-Za-z_]\w*)\}|\$(?P<plain>[A-Za-z_]\w*)")
_USER = re.compile(r"~[A-Za-z0-9._-]*(?=/|$)")
_INNER_NETWORKS = ("docker", "br-", "virbr", "cni", "podman", "lxc", "veth")
"""Beginnings of the names of networks that do not leave the machine."""

REMOVE = 'rm -rf -- "$1"'
"""Removes the file or folder ``$1``."""


UNPACK = """\
umask 077
mkdir -p -- "$1" && cd -- "$1" || exit 1
count() { find "$1" -type f | wc -l | tr -d ' '; }
if [ -f ".$2.count" ] && [ -d "$2" ] && [ "$(count "$2")" -ge "$(cat ".$2.count")" ]; then exit 0; fi
[ -z "$3" ] && exit 3
draft=".$2.$$.$(date +%s)"
trap 'rm -rf -- "$draft" "$draft.old" "$draft.count"' EXIT
trap 'exit 1' HUP INT TERM
mkdir -- "$draft" && eval "$3" || exit 1
[ -d "$2" ] && mv -- "$2" "$draft.old"
count "$draft" > "$draft.count" || exit 1
mv -- "$draft" "$2" && mv -- "$draft.count" ".$2.count" || exit 1
if [ -d "$2/$draft" ]; then rm -rf -- "$2/$draft"; fi
"""
"""Unpacks stdin to the folder ``$2`` in ``$1``, unless it is there with all of its files; ``$3`` unpacks to $draft.

Without ``$3`` nothing is unpacked, and exit code 3 asks for it. Others may unpack the same folder at the same time.
"""

UNPACK_TAR = 'tar -xpmf - -C "$draft"'
"""With modes of the archive and times of now: file systems for scratch data remove files by their age."""

UNPACK_GZIP = f"gzip -dc | {UNPACK_TAR}"


def expression_of(path: str) -> str:
    """The word of sh that expands ``~`` and variables of *path*, and nothing else.

    Raises:
        ConfigurationError: it holds a line break.
    """
    if not path or "\n" in path or "\0" in path:
        raise ConfigurationError(f"{path!r} cannot be a folder at a site. Name one, such as '~/.cnflow'.")
    home = _USER.match(path)
    word, position = (home[0], home.end()) if home else ("", 0)
    for part in _PART.finditer(path, position):
        name = part["braced"] or part["plain"]
        word += _quoted(path[position : part.start()]) + f'"${{{name}:?is not set at the site}}"'
        position = part.end()
    return word + _quoted(path[position:])


def facts_script(folder: str, programs: tuple[str, ...] = ()) -> str:
    """Script that makes *folder*, looks at the site, and prints a line for each fact."""
    names = " ".join(map(shlex.quote, programs))
    probe = " ".join(map(shlex.quote, PROBE_OPTIONS))
    return f"""\
umask 077
folder={expression_of(folder)}
mkdir -p -- "$folder" && chmod 700 "$folder" && folder=$(cd -- "$folder" && pwd) || exit 1
[ -w "$folder" ] || {{ echo "$folder is not writable" >&2; exit 1; }}
echo "folder $folder"
echo "home $HOME"
echo "user $(id -un 2>/dev/null || id -u)"
echo "host $(hostname 2>/dev/null || uname -n)"
echo "machine $(uname -m)"
if getconf GNU_LIBC_VERSION >/dev/null 2>&1; then echo "libc glibc"
else for f in /lib/ld-musl-*; do [ -e "$f" ] && echo "libc musl"; done; fi
{{ ip -o addr show scope global up || hostname -I || hostname -i; }} 2>/dev/null | sed 's/^/address /'
for program in {names or "''"}; do
  found=$(command -v "$program" 2>/dev/null) && case $found in /*) echo "found $found";; esac
done
python3 {probe} 2>/dev/null | sed 's/^/python /'
exit 0
"""


def facts_of(output: str) -> SiteFacts | None:
    """Facts in the output of `facts_script`; None if they are not complete."""
    lines = [line.partition(" ")[::2] for line in output.splitlines()]
    first = dict(reversed(lines))
    if not {"folder", "home", "user", "host", "machine"} <= first.keys():
        return None
    return SiteFacts(
        folder=first["folder"],
        home=first["home"],
        user=first["user"],
        host=first["host"],
        addresses=addresses_of([value for name, value in lines if name == "address"]),
        machine=first["machine"],
        libc=first.get("libc", ""),
        python=parse_probe("\n".join(value for name, value in lines if name == "python")),
        found=tuple(value for name, value in lines if name == "found"),
    )


def addresses_of(lines: list[str]) -> tuple[str, ...]:
    """IP addresses in the output of ``ip -o addr`` or ``hostname -I``: IPv4 first, networks of containers last."""
    found: dict[str, tuple[bool, bool]] = {}
    for line in lines:
        words = line.split()
        device = words[1] if len(words) > 1 and words[0].endswith(":") else ""
        for word in words:
            address = _address_in(word)
            if address is not None:
                is_inner = device.startswith(_INNER_NETWORKS)
                found.setdefault(str(address), (is_inner, address.version == 6))  # noqa: PLR2004 - IPv6
            if word in {"brd", "peer"}:
                break
    return tuple(sorted(found, key=lambda address: found[address]))


def _address_in(word: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_interface(word).ip if "." in word or ":" in word else None
    except ValueError:
        return None
    return None if address is None or address.is_loopback or address.is_link_local else address


def _quoted(text: str) -> str:
    return shlex.quote(text) if text else ""
