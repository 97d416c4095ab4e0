"""Names of `cnflow.utils` in version 0.1: helpers for scripts and providers, which are Parsl's.

The code is in `cnflow.compat.parsl.utils`.
"""

from cnflow.compat.parsl.utils import (
    RepresentationMixin,
    execute_wait,
    get_all_checkpoints,
    get_last_checkpoint,
    sanitize_dns_label_rfc1123,
    sanitize_dns_subdomain_rfc1123,
    time_limited_open,
    wait_for_file,
    wtime_to_minutes,
)

__all__ = [
    "RepresentationMixin",
    "execute_wait",
    "get_all_checkpoints",
    "get_last_checkpoint",
    "sanitize_dns_label_rfc1123",
    "sanitize_dns_subdomain_rfc1123",
    "time_limited_open",
    "wait_for_file",
    "wtime_to_minutes",
]
