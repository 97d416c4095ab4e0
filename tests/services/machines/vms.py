"""Machines that the stand-ins of clouds start: each is a container in the cloud's own network.

::

    machines = Machines("ec2", subnet="10.81.0.0/24", folder=...)          one for each stand-in; needs root
    machine = machines.start("i-1", b"#!/bin/sh ...", Facts(...))
        │   container ── PID 1 is BOOT: sshd ── metadata at 169.254.169.254 ── user data, once, as root
        ├── is_running()      False once it has halted, by `shutdown -h now` in it, too
        ├── console()         what its boot and its user data have printed
        ├── address           in the network, which this host reaches as well
        ├── facts             what its metadata server answers; changed by `update`, such as a notice
        └── remove()
    machines.running()        names of those that run, by one call
    machines.remove()         all of them, and the network

A `Kind` makes machines that are not as usual: without some programs, without a network, with the real cloud-init.
"""

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.services.machines.metadata import Facts, MetadataServer

IMAGE = "cnflow-machine:2"
"""Made by tests/services/machines/image."""

IMAGES, IMAGES_VOLUME = "/usr/lib/images", "cnflow-machine-images"
"""Container images that all machines have, and the volume of them, which tests/services/machines/load-images fills."""

LONGEST_CONSOLE = 65536

# Programs that end a machine, by ending its PID 1; `shutdown +5` waits as many minutes.
HALT = """\
#!/bin/sh
for word; do
  case $word in
    -c) kill $(cat /run/shutdown-later) 2>/dev/null; exit ;;
    +[0-9]*)
      (sleep $((${word#+} * 60)); exec kill -TERM 1) </dev/null >/dev/null 2>&1 &
      echo $! >/run/shutdown-later
      exit ;;
  esac
done
exec kill -TERM 1
"""

# Processes are told to end before the machine is gone, as an operating system does it.
BOOT = r"""#!/bin/sh
trap 'kill -s TERM -- -1; sleep 0.3; exit 0' TERM INT
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /usr/local/sbin
for name in halt poweroff shutdown; do cp /seed/halt "/usr/local/sbin/$name"; done
for name in $LACKS; do rm -f "/usr/bin/$name" "/bin/$name" "/usr/bin/$name".*; done
unset LACKS
if [ -d /etc/containers ]; then # an engine within a container can neither make control groups nor raise limits
  printf '%s\n' '[containers]' 'cgroups = "disabled"' \
    "default_ulimits = [\"nofile=$(ulimit -Hn):$(ulimit -Hn)\", \"nproc=$(ulimit -Hp):$(ulimit -Hp)\"]" \
    '[engine]' 'cgroup_manager = "cgroupfs"' 'events_logger = "file"' >/etc/containers/containers.conf
fi
if [ -x /usr/sbin/sshd ]; then mkdir -p /run/sshd; ssh-keygen -A >/dev/null; /usr/sbin/sshd; fi
until [ -e /seed/go ]; do sleep 0.05; done
if [ -d @IMAGES@/overlay-images ]; then # container images that the image of a real machine may bring
  printf '%s\n' '[storage]' 'driver = "overlay"' 'graphroot = "/var/lib/containers/storage"' \
    'runroot = "/run/containers/storage"' '[storage.options]' 'additionalimagestores = ["@IMAGES@"]' \
    >/etc/containers/storage.conf
fi
echo "booted $(hostname)"
if [ -e /seed/cloud-init ]; then
  sh /seed/cloud-init &
else
  cp /seed/user-data /run/part-001
  chmod 700 /run/part-001
  (cd /; /run/part-001 </dev/null; echo "user data ended with $?") &
fi
while :; do sleep 3600 & wait $!; done
"""

# The stages that systemd would start; modules that touch a real machine's disk, locale or packages are left out.
CLOUD_INIT = r"""
seed=/var/lib/cloud/seed/nocloud
mkdir -p "$seed" /etc/cloud/cloud.cfg.d
printf 'instance-id: %s\nlocal-hostname: %s\n' "$(hostname)" "$(hostname)" >"$seed/meta-data"
cp /seed/user-data "$seed/user-data"
printf 'datasource_list: [NoCloud, None]\nnetwork: {config: disabled}\n' >/etc/cloud/cloud.cfg.d/99-test.cfg
printf 'datasource: NoCloud\n' >/etc/cloud/ds-identify.cfg
cat >/etc/cloud/cloud.cfg <<'END'
users: []
disable_root: false
cloud_init_modules: [write-files, set_hostname]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
output: {all: "| tee -a /var/log/cloud-init-output.log"}
system_info: {distro: debian, paths: {cloud_dir: /var/lib/cloud/, templates_dir: /etc/cloud/templates/}}
END
for stage in 'init --local' init 'modules --mode=config' 'modules --mode=final'; do cloud-init $stage; done
"""

# What an engine within a machine needs; the clock and the devices of this host stay out of reach.
RIGHTS = (
    *("--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN", "--cap-add", "SYS_PTRACE"),
    *("--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"),
    *("--device", "/dev/fuse", "--volume", "/var/lib/containers", "--volume", f"{IMAGES_VOLUME}:{IMAGES}:ro"),
)


class Kind(NamedTuple):
    """What is unusual in a machine."""

    lacks: tuple = ()
    """Programs that its image does not have, such as ``python3``."""

    network: str = ""
    """Docker's network, such as ``none``; empty is the cloud's."""

    runs_cloud_init: bool = False
    """The real cloud-init runs the user data, some seconds later."""

    boot_delay: float = 0.0
    options: tuple = ()
    """Further options of ``docker run``."""


USUAL = Kind()


def docker(*words, check=True):
    """Run Docker's command and return what it prints."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"docker {' '.join(words[:2])}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass
class Machine:
    """One machine, from its start until it is removed."""

    name: str
    container: str
    facts: Facts
    address: str
    metadata: MetadataServer
    seed: Path
    booted_at: float

    def is_running(self):
        return docker("inspect", "--format", "{{.State.Running}}", self.container, check=False) == "true"

    def console(self):
        done = subprocess.run(
            ["docker", "logs", self.container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        return done.stdout[-LONGEST_CONSOLE:]

    def remove(self):
        self.metadata.close()
        docker("rm", "--force", "--volumes", self.container, check=False)
        shutil.rmtree(self.seed, ignore_errors=True)


class Machines:
    """The machines of a stand-in, and their network."""

    def __init__(self, cloud, *, subnet, folder, image=IMAGE, options=()):
        self.cloud, self.subnet, self.folder, self.image = cloud, subnet, Path(folder), image
        self.options = tuple(options)  # further ones of `docker run`
        self.prefix, self.label = f"cnflow-{cloud}", f"cnflow-cloud={cloud}"

    @property
    def gateway(self):
        """Address of this host in the machines' network."""
        return self.subnet.rsplit(".", 1)[0] + ".1"

    def make_network(self):
        """Make the network, unless it is there."""
        if self.prefix not in docker("network", "ls", "--format", "{{.Name}}").splitlines():
            options = ("--label", self.label, "--subnet", self.subnet, "--gateway", self.gateway)
            docker("network", "create", *options, self.prefix)

    def start(self, name, user_data, facts, kind=USUAL):
        """Start a machine; returns when its user data runs."""
        container, seed = f"{self.prefix}-{name}", self.folder / "seeds" / name
        self.lay(seed, user_data, kind)
        options = ("--name", container, "--hostname", name, "--label", self.label)
        place = ("--network", kind.network or self.prefix, "--add-host", "metadata.google.internal:169.254.169.254")
        inside = ("--volume", f"{seed}:/seed:ro", "--env", f"LACKS={' '.join(kind.lacks)}")
        time.sleep(kind.boot_delay)
        further = (*self.options, *kind.options)
        docker("run", "--detach", *options, *RIGHTS, *place, *inside, *further, self.image, "/bin/sh", "/seed/boot")
        try:
            pid, address = self.inspect(container)
            metadata = MetadataServer(facts, pid)
        except BaseException:
            docker("rm", "--force", "--volumes", container, check=False)
            raise
        (seed / "go").touch()
        return Machine(name, container, facts, address, metadata, seed, time.time())

    def lay(self, seed, user_data, kind):
        """Write what a machine reads when it boots."""
        shutil.rmtree(seed, ignore_errors=True)
        seed.mkdir(parents=True)
        (seed / "user-data").write_bytes(user_data)
        (seed / "boot").write_text(BOOT.replace("@IMAGES@", IMAGES))
        (seed / "halt").write_text(HALT)
        (seed / "halt").chmod(0o755)
        if kind.runs_cloud_init:
            (seed / "cloud-init").write_text(CLOUD_INIT)

    def inspect(self, container):
        """Process id and address of *container*."""
        form = "{{.State.Pid}}{{range .NetworkSettings.Networks}} {{.IPAddress}}{{end}}"
        pid, *addresses = docker("inspect", "--format", form, container).split()
        return int(pid), addresses[0] if addresses else ""

    def running(self):
        """Names of the machines that run."""
        names = docker("ps", "--filter", f"label={self.label}", "--format", "{{.Names}}").split()
        return {name.removeprefix(f"{self.prefix}-") for name in names}

    def remove(self):
        """Remove all machines, also those of an earlier process, and the network."""
        if left := docker("ps", "--all", "--quiet", "--filter", f"label={self.label}", check=False).split():
            docker("rm", "--force", "--volumes", *left, check=False)
        docker("network", "rm", self.prefix, check=False)
        shutil.rmtree(self.folder / "seeds", ignore_errors=True)
