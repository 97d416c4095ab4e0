"""Launchers: argument vectors; those that are scripts run here with stand-ins for the programs that start processes."""

import os
import signal
import stat
import subprocess
import time

import pytest

from cnflow.config import LocalProvider, load_config
from cnflow.errors import ConfigurationError
from cnflow.launchers import (
    AprunLauncher,
    CallableLauncher,
    GnuParallelLauncher,
    JsrunLauncher,
    MpiExecLauncher,
    MpiRunLauncher,
    SimpleLauncher,
    SingleNodeLauncher,
    SrunLauncher,
    SrunMPILauncher,
    WrappedLauncher,
)

MANAGER = ["python3", "manager", "a b"]
SRUN = [
    "--ntasks-per-node=1", "--kill-on-bad-exit=0", "--wait=0", "--no-kill", "--cpu-bind=none", "--mpi=none",
    "--export=ALL",
]  # fmt: skip


def words(line):
    return [*line.split(), *MANAGER]


@pytest.mark.parametrize(
    ("launcher", "argv"),
    [
        (SimpleLauncher(), MANAGER),
        (WrappedLauncher(prepend="numactl -i all"), ["numactl", "-i", "all", *MANAGER]),
        (SrunLauncher(), ["srun", "--nodes=4", "--ntasks=4", *SRUN, *MANAGER]),
        (SrunLauncher(overrides="-c 272"), ["srun", "--nodes=4", "--ntasks=4", *SRUN, "-c", "272", *MANAGER]),
        (
            AprunLauncher(overrides="-b -- bwpy-environ --"),
            words("aprun -n 4 -N 1 -cc none -F exclusive -j 1 -b -- bwpy-environ --"),
        ),
        (JsrunLauncher(), words("jsrun -n 4 -r 1 -a 1 -c ALL_CPUS -g ALL_GPUS -b none")),
        (
            JsrunLauncher(gpus="", overrides=["-l", "cpu"]),
            words("jsrun -n 4 -r 1 -a 1 -c ALL_CPUS -b none -l cpu"),
        ),
        (CallableLauncher(function=lambda *given: f"{given}"), ["bash", "-c", "(\"python3 manager 'a b'\", 1, 4)"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_launcher_that_is_one_command(launcher, argv):
    assert launcher.wrap(MANAGER, 4) == argv


def test_number_of_managers_is_that_of_nodes_unless_a_launcher_uses_one_node():
    assert SrunLauncher().managers(4) == SingleNodeLauncher().managers(4) == 4
    assert SimpleLauncher().managers(4) == WrappedLauncher(prepend=["nice"]).managers(4) == 1
    assert LocalProvider(nodes_per_block=3).managers_per_block() == 3
    assert LocalProvider(nodes_per_block=3, launcher=SimpleLauncher()).managers_per_block() == 1


def test_option_takes_settings_a_kind_a_function_or_a_table(tmp_path):
    assert LocalProvider(launcher="srun").launcher == SrunLauncher()
    assert (
        LocalProvider(launcher=lambda command, tasks, nodes: f"{nodes} {tasks} {command}").launcher("a", 1, 2)
        == "2 1 a"
    )
    file = tmp_path / "cnflow.toml"
    file.write_text(
        '[[executors]]\nkind = "high_throughput"\n[executors.provider]\nkind = "local"\nnodes_per_block = 2\n'
        'launcher = {kind = "mpiexec", overrides = "-v", hostfile = "/hosts"}\n'
    )
    launcher = load_config(file).executors[0].provider.launcher
    assert launcher == MpiExecLauncher(overrides=["-v"], hostfile="/hosts")
    with pytest.raises(ConfigurationError, match="Did you mean 'srun'"):
        LocalProvider(launcher="sruns")


def test_function_that_returns_no_text_is_refused():
    with pytest.raises(ConfigurationError, match="must return a command line"):
        CallableLauncher(function=lambda *_: None).wrap(MANAGER, 1)


def test_launcher_can_be_called_as_in_parsl():
    assert SimpleLauncher()("run", 1, 4) == "run"
    line = SrunLauncher()("run me", 1, 2)
    assert line.startswith("srun --nodes=2 ")
    assert line.endswith("/bin/sh -c 'run me'")
    assert SingleNodeLauncher()("run", 2, 1) == "/bin/sh -c run &\n/bin/sh -c run &\nwait"


@pytest.fixture
def program(tmp_path):
    """Makes a program of the text of a shell script."""

    def make(name, text):
        (tmp_path / "bin").mkdir(exist_ok=True)
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return path

    return make


@pytest.fixture
def environment(tmp_path):
    (tmp_path / "home").mkdir()
    names = ("PBS_NODEFILE", "PE_HOSTFILE", "LSB_DJOB_HOSTFILE", "COBALT_NODEFILE", "SLURM_JOB_NODELIST")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    return {**plain, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "HOME": f"{tmp_path}/home"}


def run(argv, environment, **options):
    return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60, check=False, **options)


REPORT = ["/bin/sh", "-c", 'echo "$CNFLOW_NODE_RANK:$0:$(pwd):$OF_THE_USER"; exit $CNFLOW_NODE_RANK', "a 'b'"]


def test_single_node_runs_a_copy_for_each_node_and_ends_with_the_worst_exit_code(environment):
    done = run(SingleNodeLauncher().wrap(REPORT, 3), environment, cwd="/")
    assert sorted(done.stdout.splitlines()) == ["0:a 'b':/:", "1:a 'b':/:", "2:a 'b':/:"]
    assert done.returncode == 2
    assert SingleNodeLauncher().wrap(REPORT, 1) == REPORT


def test_signal_reaches_every_copy_and_their_orderly_end_is_waited_for(environment, tmp_path):
    waits = 'trap "sleep 0.3; echo ended; exit 7" TERM; : >"$0.$CNFLOW_NODE_RANK"; while :; do sleep 0.05; done'
    argv = SingleNodeLauncher().wrap(["/bin/sh", "-c", waits, f"{tmp_path}/up"], 2)
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while len([*tmp_path.glob("up.*")]) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "ended\nended\n"
        assert process.returncode == 7


def test_srun_mpi_starts_a_step_on_each_node(environment, program):
    program("srun", 'echo "$@"')
    done = run(SrunMPILauncher(overrides="--overlap").wrap(MANAGER, 2), environment)
    options = f"--nodes=1 --ntasks=1 {' '.join(SRUN)} --overlap python3 manager a b"
    assert sorted(done.stdout.splitlines()) == [f"--relative=0 {options}", f"--relative=1 {options}"]


PARALLEL = """
while [ "${1#/bin/sh}" = "$1" ]; do
    [ "$1" = --sshloginfile ] && hosts=$2
    printf '%s ' "$1" >>"$LOG"; shift
done
while read -r host; do env -i "PATH=$PATH" HOST="$host" sh -c "cd /; $1" & done <"$hosts"
wait
"""
"""Runs its last argument once for each host, as `ssh` would: without the variables and the folder of the first node."""


def test_gnu_parallel_brings_variables_and_folder_of_the_first_node_to_each_host(environment, program, tmp_path):
    program("parallel", PARALLEL)
    (tmp_path / "nodes").write_text("n1\nn1\nn2\nn1\nn2\n")
    environment |= {"PBS_NODEFILE": f"{tmp_path}/nodes", "OF_THE_USER": "it's\ntwo lines", "LOG": f"{tmp_path}/log"}
    done = run(GnuParallelLauncher(overrides="--tag").wrap(REPORT, 2), environment, cwd=tmp_path / "home")
    here = f"{tmp_path}/home"
    assert sorted(done.stdout.split("two lines\n")) == ["", f"0:a 'b':{here}:it's\n", f"1:a 'b':{here}:it's\n"], (
        done.stderr
    )
    assert done.returncode == 1
    assert (tmp_path / "log").read_text().startswith("--will-cite --nonall --jobs 2 --line-buffer --sshloginfile ")
    assert (tmp_path / "log").read_text().endswith(" --tag ")
    assert not [*(tmp_path / "home").iterdir()], "files of the launcher are left"


def test_gnu_parallel_without_hosts_is_explained(environment, program):
    program("parallel", "exit 1")
    done = run(GnuParallelLauncher().wrap(REPORT, 2), environment)
    assert done.returncode == 71
    assert "Set GnuParallelLauncher(hostfile=...)" in done.stderr


MPI = 'if [ "$1" = --version ]; then echo "$VERSION"; exit; fi; printf "%s\\n" "$*"'


@pytest.mark.parametrize(
    ("version", "options"),
    [
        ("HYDRA build details:", "-ppn 1 -disable-auto-cleanup"),
        ("mpiexec (OpenRTE) 4.1.4", "--map-by ppr:1:node"),
        ("mpirun (Open MPI) 5.0.2", "--map-by ppr:1:node"),
        ("something else", "-ppn 1"),
    ],
)
def test_mpi_gets_its_own_options_for_one_process_on_each_host(environment, program, tmp_path, version, options):
    program("mpirun", MPI)
    (tmp_path / "hosts").write_text("n1 4 all.q UNDEFINED\nn2 4 all.q UNDEFINED\n")
    environment |= {"PE_HOSTFILE": f"{tmp_path}/hosts", "VERSION": version}
    done = run(MpiRunLauncher(overrides="-v").wrap(MANAGER, 2), environment)
    hosts = done.stdout.split("--hostfile ")[1].split(maxsplit=1)[0]
    folder = hosts.removesuffix("/hosts")
    expected = f"-n 2 --hostfile {hosts} {options} --bind-to none -v /bin/sh {folder}/node.sh {folder}\n"
    assert done.stdout == expected


def test_mpi_without_a_list_of_hosts_finds_them_itself(environment, program):
    program("mpiexec", MPI)
    done = run(MpiExecLauncher(bind_cmd="").wrap(MANAGER, 2), {**environment, "VERSION": ""})
    assert done.stdout.startswith("-n 2 -ppn 1 /bin/sh ")
