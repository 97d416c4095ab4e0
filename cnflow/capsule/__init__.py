"""Makes what a provider carries into a foreign Python: cnflow's manager and worker, and the packages they need.

A capsule fits one *kind* of interpreter: Python minor, architecture and C library. It is built once per kind and kept.
"""

from cnflow.capsule.build import capsule_tar, default_cache_dir, tag_of, unpacked
from cnflow.capsule.contents import TRAVELS, driver_root
from cnflow.capsule.kinds import Kind, kind_of, no_python
from cnflow.capsule.probe import MARKED_ROOT, MARKER_NAME, PROBE_OPTIONS, PROBE_SCRIPT, Probe, parse_probe

__all__ = [
    "MARKED_ROOT",
    "MARKER_NAME",
    "PROBE_OPTIONS",
    "PROBE_SCRIPT",
    "TRAVELS",
    "Kind",
    "Probe",
    "capsule_tar",
    "default_cache_dir",
    "driver_root",
    "kind_of",
    "no_python",
    "parse_probe",
    "tag_of",
    "unpacked",
]
