"""Advice on what a command at a site prints when it fails; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Messages of strerror(3), glibc 2.36, and of sh for ${NAME:?...}.
_ADVICE: Mapping[str, str] = {
    "quota exceeded": "The quota of that file system is used up: remove files there, or choose another file system by "
    "site_dir=, such as the site's scratch.",
    "no space left": "That file system is full: remove files there, or choose another one by site_dir=.",
    "read-only file system": "Choose a folder on another file system by site_dir=.",
    "permission denied": "Choose a folder by site_dir= in which you may write.",
    "is not writable": "Choose a folder by site_dir= in which you may write.",
    "is not set": "Correct the variable in site_dir=, or set it where the site's shell sets variables for commands "
    "over ssh, too.",
    "not a directory": "Correct site_dir=: a part of it is a file.",
    "not found": "Install the program there, or put it on the PATH of commands that run without a terminal.",
}


def advice_on(words: str) -> str:
    """The user's next step after *words* of a command."""
    lower = words.lower()
    found = (advice for sign, advice in _ADVICE.items() if sign in lower)
    return next(found, "Run the command at the site by hand, and correct what it reports.")
