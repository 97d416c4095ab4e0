r"""POSIX sh that runs on a host, and its output; pure.

::

    START   FOLDER MARK KIB PREFIX  ──> "started" | "busy NAME" | "full KIB"
    STATUS  BASE NAME...      ──> "NAME running" | "NAME exit 3" | "NAME died" | "NAME gone"
    FIND    BASE PREFIX       ──> names of folders whose block lives
    CANCEL  BASE GRACE NAME...──> "NAME ended" | "NAME left"

Files of a block, in a folder of its name::

    settings.json    of the manager, which removes it once it is read (0600)
    run.sh           variables, worker_init, then the manager
    output           of all of that
    pid              id and start of the process that leads the block's session
    manager          id of the manager, which SIGTERM asks for an orderly end
    exit             exit code; there once the block has ended
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The start of a process is the 22nd field of /proc/PID/stat, the 20th after the name of its program:
# https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html. Hosts without /proc compare ids alone.
_ALIVE = r"""alive() {
    [ -f "$1/pid" ] && [ ! -f "$1/exit" ] || return 1
    pid=; since=
    read -r pid since <"$1/pid"
    [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
    [ -n "$since" ] || return 0
    stat=$(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) || return 1
    case $stat in Z* | X* | "") return 1 ;; esac
    [ "$(echo "$stat" | cut -d' ' -f20)" = "$since" ]
}
"""

START = (
    _ALIVE
    + r"""folder=$1; mark=$2; least=$3; prefix=$4
cd -- "$folder" || exit 1
for other in ../"$prefix"*; do
    [ "$other" != "../${folder##*/}" ] && alive "$other" && { echo "busy ${other##*/}"; exit 0; }
done
free=$(df -Pk . | awk 'NR == 2 { print $4 }')
if [ -n "$free" ] && [ "$free" -lt "$least" ]; then echo "full $free"; exit 0; fi
body='echo "$$ $(sed "s/.*) //" "/proc/$$/stat" 2>/dev/null | cut -d" " -f20)" >pid.part && mv pid.part pid
sh ./run.sh >output 2>&1 </dev/null &
manager=$!; echo "$manager" >manager
trap : TERM HUP INT
while :; do
    wait "$manager"; code=$?
    [ "$code" -gt 128 ] && kill -0 "$manager" 2>/dev/null || break
done
echo "$code" >exit.part && mv exit.part exit'
CNFLOW_BLOCK=$mark; export CNFLOW_BLOCK
if command -v setsid >/dev/null 2>&1; then
    setsid sh -c "$body" >/dev/null 2>&1 </dev/null &
else
    nohup sh -c "$body" >/dev/null 2>&1 </dev/null &
fi
tries=0
until [ -f pid ] || [ "$tries" -ge 100 ]; do sleep 0.1; tries=$((tries + 1)); done
[ -f pid ] && echo started
"""
)

STATUS = (
    _ALIVE
    + r"""base=$1; shift
for name in "$@"; do
    if [ -f "$base/$name/exit" ]; then echo "$name exit $(cat "$base/$name/exit")"
    elif alive "$base/$name"; then echo "$name running"
    elif [ -f "$base/$name/pid" ]; then echo "$name died"
    else echo "$name gone"; fi
done
"""
)

FIND = (
    _ALIVE
    + r"""for folder in "$1/$2"*; do
    alive "$folder" && echo "${folder##*/}"
done
:
"""
)

# Workers lead sessions of their own: only the mark in their environment leads to what a killed manager left.
CANCEL = (
    _ALIVE
    + r"""base=$1; grace=$2; shift 2
marked() {
    grep -lzsxF "CNFLOW_BLOCK=$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3 | while read -r pid; do
        case $(sed 's/.*) //' "/proc/$pid/stat" 2>/dev/null) in Z* | X* | "") ;; *) echo "$pid" ;; esac
    done
}
for name in "$@"; do
    manager=
    alive "$base/$name" && read -r manager <"$base/$name/manager" && kill "$manager" 2>/dev/null
done
for name in "$@"; do
    tries=$((grace * 10))
    while alive "$base/$name" && [ "$tries" -gt 0 ]; do sleep 0.1; tries=$((tries - 1)); done
done
for name in "$@"; do
    pid=
    alive "$base/$name" && kill -9 "$pid" "-$pid" 2>/dev/null
    tries=30
    while left=$(marked "$name") && [ -n "$left" ] && [ "$tries" -gt 0 ]; do
        kill -9 $left 2>/dev/null
        tries=$((tries - 1)); sleep 0.1
    done
    if [ -n "$left" ] || alive "$base/$name"; then echo "$name left"
    else rm -rf -- "${base:?}/${name:?}"; echo "$name ended"; fi
done
"""
)


def run_script(argv: Sequence[str], environment: Mapping[str, str], worker_init: str) -> str:
    """Text of ``run.sh``: exports *environment*, runs *worker_init* and then *argv* in one bash, or *argv* alone."""
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    if not worker_init.strip():
        return f"{exports}exec {shlex.join(argv)}\n"
    script = f'{worker_init}\nexec "$@"'
    return f"{exports}exec bash -c {shlex.quote(script)} bash {shlex.join(argv)}\n"


def sh(script: str, *arguments: str) -> list[str]:
    """Argument vector that runs *script* with *arguments*."""
    return ["sh", "-c", script, "cnflow", *arguments]


def states_in(output: str) -> dict[str, str]:
    """Words after each name, by name, in the output of `STATUS` or `CANCEL`."""
    return {name: words for name, _, words in (line.partition(" ") for line in output.splitlines()) if words}
