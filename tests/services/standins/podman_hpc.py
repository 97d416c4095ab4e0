"""A stand-in for podman-hpc: takes the options that its modules add to ``podman run``, and runs Podman with the rest.

https://github.com/NERSC/podman-hpc (1.1): ``podman-hpc run`` passes its arguments on to ``podman run`` after those of
the site's modules, which are flags of the command line (etc/modules.d). It prints what it was given to the file of the
variable ``STANDIN_LOG``.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

_MODULES = {"--gpu", "--mpi", "--cuda-mpi", "--nccl", "--cvmfs", "--openmpi-pmi2", "--openmpi-pmix"}


def main():
    """Run Podman."""
    if sys.argv[1:2] != ["run"]:
        sys.exit(f"podman-hpc: no such command in this stand-in: {sys.argv[1:]}")
    modules = [word for word in sys.argv[2:] if word in _MODULES]
    with pathlib.Path(os.environ["STANDIN_LOG"]).open("a", encoding="utf-8") as log:
        log.write(json.dumps({"argv": sys.argv[1:], "modules": modules}) + "\n")
    os.execvp("podman", ["podman", "run", *(word for word in sys.argv[2:] if word not in _MODULES)])


if __name__ == "__main__":
    main()
