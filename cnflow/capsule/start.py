"""Starts a manager in a container whose Python nobody has looked at yet: a script in POSIX sh that chooses a capsule.

::

    sh start.sh SETTINGS KIND=FOLDER [KIND=FOLDER ...]
        │
        ├─ the image's Python is of one of the kinds ────> it runs manager and workers from that capsule
        ├─ it is another one, 3.8 or newer ──────────────> it runs workers, the capsule's own Python the manager
        └─ it is older, or there is none ────────────────> the capsule's own Python runs both

The same choice as `cnflow.capsule.kinds.kind_of` makes where the image was probed; a test compares them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnflow.capsule.interpreter import CARRIED_PYTHON
from cnflow.capsule.kinds import OLDEST_WORKER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnflow.capsule.kinds import Kind

# Prints VERSION KIND PATH in any Python from 2.7 on; the kind is - where no packages fit. musl: see `kind_of`.
_LOOK = """\
import os, platform, sys
try:
    libc = os.confstr("CS_GNU_LIBC_VERSION").split()
except Exception:
    libc = []
v = sys.version_info
own = platform.python_implementation() == "CPython" and "t" not in getattr(sys, "abiflags", "") and sys.maxsize > 2**32
fits = own and libc[:1] == ["glibc"] and tuple(int(n) for n in libc[1].split(".")[:2]) >= (2, 28)
kind = "cp%d%d-%s-glibc" % (v[0], v[1], os.uname()[4]) if fits else "-"
print("%d.%d.%d %s %s" % (v[0], v[1], v[2], kind, sys.executable))
"""

START_SCRIPT = f"""\
#!/bin/sh
# Starts a manager of cnflow in a container: sh start.sh SETTINGS KIND=FOLDER [KIND=FOLDER ...]
settings=$1
shift
version= kind=- python=
chosen=${{CNFLOW_PYTHON:-python3}}
for name in "$chosen" python3 python /usr/local/bin/python3 /opt/conda/bin/python3 /usr/bin/python3; do
    command -v "$name" >/dev/null 2>&1 || continue
    found=$("$name" -E -s -c '{_LOOK}' 2>/dev/null) || continue
    version=${{found%% *}}
    found=${{found#* }}
    kind=${{found%% *}}
    python=${{found#* }}
    break
done
for capsule in "$@"; do
    [ "${{capsule%%=*}}" = "$kind" ] || continue
    echo "cnflow: the image's Python $version runs manager and workers" >&2
    exec "$python" -I "${{capsule#*=}}/cnflow/manager/__main__.py" "$settings"
done
workers=
case $version in
    3.[0-{OLDEST_WORKER[1] - 1}].* | [012].*) ;;
    ?*) workers=--worker-python=$version:$python ;;
esac
for capsule in "$@"; do
    case ${{capsule%%=*}} in *-carried) ;; *) continue ;; esac
    root=${{capsule#*=}}
    echo "cnflow: the driver's Python runs the manager${{workers:+, and the image's Python $version the workers}}" >&2
    exec "$root/{CARRIED_PYTHON}" -I "$root/cnflow/manager/__main__.py" "$settings" ${{workers:+"$workers"}}
done
what="no Python, and the site has none for it"
[ -z "$version" ] || what="Python $version ($kind), for which the site has no code: $*"
echo "cnflow: no manager can run in this image: it has $what. Use an image such as python:3.11-slim." >&2
exit 3
"""
"""For any POSIX shell, such as busybox's and dash; holds nothing that differs between blocks."""


def start_argv(script: str, settings_file: str, capsules: Mapping[Kind, str]) -> tuple[str, ...]:
    """Return the command that runs the script in a container.

    Args:
        script: its path there.
        settings_file: path there of the manager's settings, which stay.
        capsules: folders there, by kind; one that carries an interpreter fits all images of its architecture.
    """
    return ("/bin/sh", script, settings_file, *(f"{kind.slug}={folder}" for kind, folder in capsules.items()))
