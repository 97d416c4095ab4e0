"""Prepares the container engine of a machine: finds or installs it, and pulls the image.

::

    docker or podman on the PATH? ── no ──> INSTALL, by the package manager of the system, where the user asked for it
          │
          ├── the service of Docker is started, and waited for
          └── login file of the registry ──> pull, three tries ──> removed
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnflow.model.boot_order import BootOrder

ENGINES = ("docker", "podman")

# Names of packages: Debian and Ubuntu have docker.io; Fedora moby-engine; Amazon Linux, Alpine and SUSE docker; RHEL
# and its rebuilds podman alone.
INSTALL = r"""
export DEBIAN_FRONTEND=noninteractive
case $1 in
docker) names='docker.io docker moby-engine' ;;
podman) names=podman ;;
*) names='docker.io docker podman' ;;
esac
one() {
  if command -v apt-get >/dev/null; then
    less=--no-install-recommends # but Podman's are what it needs for networks and for `--init`
    [ "$1" != podman ] || less=
    apt-get -q -y -o DPkg::Lock::Timeout=180 install $less "$1"
  elif command -v dnf >/dev/null; then dnf -q -y install "$1"
  elif command -v yum >/dev/null; then yum -q -y install "$1"
  elif command -v zypper >/dev/null; then zypper -q -n install "$1"
  elif command -v apk >/dev/null; then apk add --no-progress "$1"
  else echo "cnflow: this system has none of apt-get, dnf, yum, zypper, apk" >&2; exit 3
  fi
}
for try in 1 2 3; do
  if command -v apt-get >/dev/null; then apt-get -q -o DPkg::Lock::Timeout=180 update; fi
  for name in $names; do one "$name" && exit 0; done
  sleep 5
done
exit 1
"""
"""For ``sh -c``; its argument is the engine, or ``auto``."""

START = r"""
docker info >/dev/null 2>&1 && exit 0
systemctl start docker || service docker start || rc-service docker start
for second in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  docker info >/dev/null 2>&1 && exit 0
  sleep 1
done
docker info
"""
"""For ``sh -c``: starts Docker's service, and waits for it."""

_TRIES = 3
_PULL_PAUSE = 5.0


class BootError(Exception):
    """The machine cannot start its manager; the text is for the user."""


def prepare_engine(order: BootOrder) -> str:
    """Return the engine that runs the containers of *order*, ready, with its image.

    Raises:
        BootError: there is none, or it cannot get the image.
    """
    engine = find(order)
    if not engine and order.installs_engine:
        print(f"cnflow: installs a container engine ({order.engine})", flush=True)
        _run(["sh", "-c", INSTALL, "cnflow", order.engine], "The container engine cannot be installed")
        engine = find(order)
    if not engine:
        wanted = " or ".join(ENGINES if order.engine == "auto" else [order.engine])
        raise BootError(
            f"the machine has no {wanted} for image {order.image!r}: set install_runtime=True, or take an image of a "
            "machine that has it"
        )
    if engine == "docker":
        _run(["sh", "-c", START], "Docker's service does not start")
    _pull(engine, order)
    return engine


def find(order: BootOrder) -> str:
    """Return the name of the engine that the machine has; empty without one."""
    names = ENGINES if order.engine == "auto" else (order.engine,)
    return next((name for name in names if name in order.commands and shutil.which(name)), "")


def _pull(engine: str, order: BootOrder) -> None:
    has = subprocess.run([engine, "image", "inspect", order.image], capture_output=True, check=False).returncode == 0
    if order.pulls == "never" or (has and order.pulls == "missing"):
        return
    with tempfile.TemporaryDirectory(prefix="cnflow-login-") as folder:
        environment = dict(os.environ)
        if order.registry_login:
            file = Path(folder) / "config.json"
            file.write_text(order.registry_login, encoding="utf-8")
            environment.update(DOCKER_CONFIG=folder, REGISTRY_AUTH_FILE=str(file))
        for rest in reversed(range(_TRIES)):
            done = subprocess.run(
                [engine, "pull", "-q", order.image],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=environment,
                check=False,
            )
            if done.returncode == 0:
                print(f"cnflow: {engine} has pulled {order.image}", flush=True)
                return
            if rest:
                time.sleep(_PULL_PAUSE)
    words = done.stdout.decode(errors="replace").strip()[-800:]
    raise BootError(f"{engine} cannot pull the image {order.image!r}: {words}")


def _run(argv: Sequence[str], what: str) -> None:
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        words = done.stdout.decode(errors="replace").strip()
        print(words, flush=True)
        raise BootError(f"{what}: {words[-800:] or done.returncode}")
