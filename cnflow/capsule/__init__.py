"""Makes capsules: cnflow's manager and worker with the packages that they need, for a foreign Python.

::

    probe:   PROBE_SCRIPT, run by the image's interpreter ──> one line of JSON ──parse_probe──> Probe
    kinds:   kind_of(Probe) ──> Kind, e.g. cp311-x86_64-glibc       or ImageUnusableError: not supported
    packages: msgspec, pyzmq, cloudpickle for that Kind: copied from the driver's Python, or downloaded by pip
    interpreter: where these packages do not fit, or the image has no Python: the driver's own, with its libraries
    build:   packages + cnflow's own files (contents) ──> capsule_folder, capsule_tar, kept in the cache by tag
    provider: mounts, copies or unpacks it in the block, and starts ROOT/cnflow/manager/__main__.py

A capsule fits one *kind* of interpreter: Python minor version, architecture and C library; one that carries an
interpreter fits all images of its architecture. It is built once per kind and version of cnflow, and kept in
``~/.cache/cnflow``.
"""

from cnflow.capsule.build import available_kind, capsule_folder, capsule_tar, default_cache_dir, tag_of
from cnflow.capsule.contents import CAPSULE_PARTS, driver_root
from cnflow.capsule.interpreter import CARRIED_PYTHON
from cnflow.capsule.kinds import Kind, carried_kind, kind_of, no_python, runs_workers, too_old
from cnflow.capsule.packages import carrying_kind
from cnflow.capsule.probe import MARKED_ROOT, MARKER_NAME, PROBE_OPTIONS, PROBE_SCRIPT, Probe, parse_probe

__all__ = [
    "CAPSULE_PARTS",
    "CARRIED_PYTHON",
    "MARKED_ROOT",
    "MARKER_NAME",
    "PROBE_OPTIONS",
    "PROBE_SCRIPT",
    "Kind",
    "Probe",
    "available_kind",
    "capsule_folder",
    "capsule_tar",
    "carried_kind",
    "carrying_kind",
    "default_cache_dir",
    "driver_root",
    "kind_of",
    "no_python",
    "parse_probe",
    "runs_workers",
    "tag_of",
    "too_old",
]
