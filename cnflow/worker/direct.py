"""Command lines that need no shell: starting bash takes longer than starting most programs (1.5 ms to 0.7 ms).

Only where nobody can tell the difference: words without any sign that a shell looks at, the first of which is a program
in the PATH and no word of the shell's own. `make` does the same: https://www.gnu.org/software/make/manual/html_node/Execution.html
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, NamedTuple, Optional

if TYPE_CHECKING:
    from collections.abc import Mapping

_HARMLESS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:@%+,- ")

# https://www.gnu.org/software/bash/manual/html_node/Reserved-Word-Index.html and Builtin-Index.html
_WORDS = """
if then else elif fi case esac for select while until do done in function time coproc
. : alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo enable eval
exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd read
readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset
wait
"""
_OF_THE_SHELL = frozenset(_WORDS.split())
_SAME_AS_A_PROGRAM = frozenset({"true", "false"})
"""Builtins that do what the programs of their names do, when they have no arguments."""


class Program(NamedTuple):
    """What to start in a shell's place."""

    path: str
    words: list[str]
    environment: dict[str, str]


def program_in(command: str, environment: Mapping[str, str], folder: Optional[str]) -> Optional[Program]:
    """The program that *command* starts; None where a shell is needed.

    Args:
        command: a command line.
        environment: variables that it would have.
        folder: that it would be run in; None is the current one.
    """
    words = command.split()
    if not words or not _HARMLESS.issuperset(command) or not _is_plain(words):
        return None
    if "BASH_ENV" in environment or any(name.startswith("BASH_FUNC_") for name in environment):
        return None  # a shell would read that first, or find a function of that name
    folder = folder or os.getcwd()  # noqa: PTH109 - pathlib is slow to import
    name = os.path.join(folder, words[0]) if "/" in words[0] else words[0]  # noqa: PTH118 - the same
    path = shutil.which(name, path=environment.get("PATH"))
    return Program(path, words, {**environment, "PWD": folder}) if path else None


def _is_plain(words: list[str]) -> bool:
    first = words[0]
    if first in _SAME_AS_A_PROGRAM:
        return len(words) == 1
    return "=" not in first and first[0] not in "-%" and first not in _OF_THE_SHELL
