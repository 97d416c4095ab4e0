"""Limit of open files: raised for cnflow's own processes, and given back to those that run the user's code.

A manager holds four descriptors for each worker and an interchange one for each manager, so that the usual soft limit
of 1,024 stops both at a few hundred. Programs may raise their own soft limit up to the hard one (getrlimit(2)).
"""

from __future__ import annotations

import contextlib
import resource

Limits = tuple[int, int]
"""Soft and hard limit, as `resource.getrlimit` returns them."""

_ENOUGH = 2**20
"""Used where the hard limit is higher or absent; Linux allows no more by default (fs.nr_open, proc_sys_fs(5))."""


def raise_open_file_limit() -> Limits:
    """Raise this process's soft limit as far as it may, and return the limits before."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = before
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # a sandbox may forbid it; most runs need no more than there is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return before


def set_open_file_limit(pid: int, limits: Limits) -> None:
    """Give the child process *pid* these *limits*: a program that uses select(2) breaks above 1,024."""
    with contextlib.suppress(ValueError, OSError):  # it ended already, or a sandbox forbids it
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
