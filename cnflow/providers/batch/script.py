"""Body of a job: POSIX sh for its first node; pure.

::

    body(...) ──> CNFLOW_ARRAY_INDEX ──> CNFLOW_BLOCK_ENDS_AT ──> variables, folder
                      ──> bash: worker_init ──> exec LAUNCHER ... python .../manager SETTINGS

The manager takes the place of the shell, so that the scheduler's notice (SIGTERM) reaches it.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cnflow.model.manager_settings import BLOCK_ENDS_AT
from cnflow.providers._shared.block_end import BLOCK_END_SCRIPT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cnflow.units import Seconds

ELEMENT = "@CNFLOW-ELEMENT@"
"""Stands in the arguments of a command for the element of the array, from 0; 0 where there is no array."""

FOLDER = "@CNFLOW-FOLDER@"
"""Stands in the arguments of a command for the folder in which the job starts, to which files were brought."""

_MODULES = """\
if ! command -v module >/dev/null 2>&1; then
  for file in "${LMOD_PKG:-/nowhere}/init/bash" "${MODULESHOME:-/nowhere}/init/bash" /etc/profile.d/lmod.sh \\
      /etc/profile.d/z00_lmod.sh /etc/profile.d/modules.sh /usr/share/lmod/lmod/init/bash /usr/share/modules/init/bash
  do if [ -r "$file" ]; then . "$file"; break; fi; done
fi
"""
"""Defines ``module``, which login shells have and jobs may not."""

# A command that is not found has the exit code 127 (bash(1), EXIT STATUS). What a sourced file lacks is its own affair.
_GUARD = """\
trap 'code=$?; if [ $code = 127 ] && [ "${#BASH_SOURCE[@]}" = 0 ]; then
  echo "cnflow: worker_init: the command above was not found on $(hostname); the block ends. Correct worker_init, or \
begin it with what defines the command: for module that is often \\". /etc/profile\\"." >&2
  exit 127
fi' ERR
"""
"""Ends the block where worker_init names a command that the node does not have, unless the user handles that."""

_EARLY_END = """\
trap 'code=$?; [ $code = 127 ] || echo "cnflow: worker_init ended with code $code on $(hostname), before the workers \
were started; the block ends." >&2' EXIT
"""
"""Says where the block ended, if worker_init exits."""

_MARKS = {ELEMENT: '"$CNFLOW_ARRAY_INDEX"', FOLDER: '"$CNFLOW_FOLDER"'}


@dataclass(frozen=True)
class Body:
    """Parts of a job's body."""

    argv: Sequence[str]
    """Command for all nodes: wrapped by the launcher; may hold `ELEMENT` and `FOLDER`."""

    index_variable: str = ""
    """See `cnflow.providers.batch.dialect.Dialect`; empty where there is no array."""

    first_index: int = 0
    walltime: Seconds | None = None
    """Of the job; the block's end where the scheduler does not show it to the job."""

    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""
    """Folder in which the manager starts, if it is there; empty leaves it to the scheduler."""

    worker_init: str = ""
    copies: Mapping[str, str] = field(default_factory=dict)
    """Path of a file at the site -> path on the node; both may hold `ELEMENT` and `FOLDER`."""


def render(body: Body) -> str:
    """Return the text of *body*."""
    return "".join(
        [
            # A notice may come before the manager is there.
            f"CNFLOW_FOLDER=$PWD\nunset {BLOCK_ENDS_AT}\ntrap '' USR1\n",
            _index(body),
            BLOCK_END_SCRIPT,
            _own_end(body.walltime),
            *(f"export {name}={shlex.quote(value)}\n" for name, value in body.environment.items()),
            # The umask of the script would be that of tasks.
            *(
                f"(umask 077; cp {quoted(source)} {quoted(target)}) || exit 1\n"
                for source, target in body.copies.items()
            ),
            f"cd {shlex.quote(body.folder)} 2>/dev/null || cd\n" if body.folder else "",
            _start(body.argv, body.worker_init),
        ]
    )


def quoted(word: str) -> str:
    """Return *word* for a shell; `ELEMENT` becomes the number of the element, `FOLDER` the first folder."""
    parts = re.split(f"({ELEMENT}|{FOLDER})", word)
    return "".join(_MARKS.get(part) or shlex.quote(part) for part in parts if part or len(parts) == 1)


def _index(body: Body) -> str:
    if not body.index_variable:
        return "CNFLOW_ARRAY_INDEX=0\n"
    first = f" - {body.first_index}" if body.first_index else ""
    return f"CNFLOW_ARRAY_INDEX=$((${{{body.index_variable}:-{body.first_index}}}{first}))\n"


def _own_end(walltime: Seconds | None) -> str:
    if walltime is None:
        return ""
    return f'[ -n "${BLOCK_ENDS_AT}" ] || {BLOCK_ENDS_AT}=$(($(date +%s) + {int(walltime)}))\n'


def _start(argv: Sequence[str], worker_init: str) -> str:
    words = " ".join(map(quoted, argv))
    if not worker_init.strip():
        return f"exec {words}\n"
    modules = _MODULES if "module" in worker_init else ""
    script = f'{modules}{_GUARD}{_EARLY_END}{worker_init}\ntrap - ERR EXIT\nexec "$@"'
    return f"exec bash -c {shlex.quote(script)} bash {words}\n"
