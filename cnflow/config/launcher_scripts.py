"""POSIX shell of the launchers that are no single command; each script gets its values as arguments. No I/O.

::

    copies(start)      NODES COMMAND...                                one child for each node, started by *start*
    ON_HOSTS + start   NODES HOSTFILE NODE LINE PROGRAM OPTIONS...     LINE is run once on each host of the job

The second kind keeps files in a private folder that all nodes must see, and removes it at the end::

    FOLDER/hosts                           one host a line, each once, in the scheduler's order
    FOLDER/environment, folder, command    variables and folder of the first node, and LINE
    FOLDER/node.sh                         `NODE`: the program of each node
    FOLDER/rank.N, exit.N                  made by the node that takes number N; exit code of its command

Exit codes go by files since an MPI ends all processes when one fails: the loss of one manager would be that of all.
"""

from __future__ import annotations

_CHILDREN = r"""pids=
for signal in TERM INT USR1 USR2; do
    trap "for pid in \$pids; do kill -s $signal \$pid 2>/dev/null; done" "$signal"
done
await() {
    while :; do
        wait "$1"; code=$?
        [ "$code" -gt 128 ] && kill -0 "$1" 2>/dev/null || return 0
    done
}
"""
"""Signals go to the children. A trapped one ends `wait`, though the child goes on."""

_COPIES = r"""nodes=$1; shift
{children}rank=0
while [ "$rank" -lt "$nodes" ]; do
    CNFLOW_NODE_RANK=$rank; export CNFLOW_NODE_RANK
    {start} </dev/null &
    pids="$pids $!"
    rank=$((rank + 1))
done
worst=0
for pid in $pids; do
    await "$pid"
    [ "$code" -gt "$worst" ] && worst=$code
done
exit "$worst"
"""


def copies(start: str) -> str:
    """Script that runs *start*, a line of shell with ``"$@"`` and ``$rank``, for each node, and waits for all."""
    return _COPIES.format(children=_CHILDREN, start=start)


NODE = (
    r"""folder=$1
for name in $(env | sed -n 's/^\(\(PMI\|PMIX\|OMPI\|PRTE\|HYDI\|MPI_LOCAL\)[A-Za-z0-9_]*\)=.*/\1/p'); do
    unset "$name"
done
rank=0
until mkdir "$folder/rank.$rank" 2>/dev/null; do
    [ -d "$folder" ] || { echo "$folder is gone on $(hostname)." >&2; exit 71; }
    rank=$((rank + 1))
done
. "$folder/environment"
cd "$(cat "$folder/folder")" || :
CNFLOW_NODE_RANK=$rank; export CNFLOW_NODE_RANK
"""
    + _CHILDREN
    + r"""/bin/sh "$folder/command" </dev/null &
pids=$!
await "$pids"
echo "$code" >"$folder/exit.$rank"
exit 0
"""
)
"""Without the variables of the MPI that starts it, which programs of tasks would take for those of their own."""

# Lists of hosts. PBSPro and Torque: qsub(1B), PBS_NODEFILE. LSF: "Environment variables set for job execution" of IBM
# Spectrum LSF 10.1, LSB_DJOB_HOSTFILE. Cobalt: qsub(1), COBALT_NODEFILE. Grid Engine 8.1: qsub(1), PE_HOSTFILE, whose
# lines begin with the host. Slurm: https://slurm.schedmd.com/sbatch.html, SLURM_JOB_NODELIST (25.05).
ON_HOSTS = (
    r"""nodes=$1; hostfile=$2; node=$3; line=$4; program=$5; shift 5
if [ -z "$hostfile" ]; then
    for hostfile in "${PBS_NODEFILE:-}" "${LSB_DJOB_HOSTFILE:-}" "${COBALT_NODEFILE:-}" "${PE_HOSTFILE:-}"; do
        [ -n "$hostfile" ] && break
    done
fi
folder=$(mktemp -d "${CNFLOW_LAUNCH_DIR:-$HOME}/.cnflow-launch-XXXXXX") || exit 71
trap 'rm -rf "$folder"' EXIT
if [ -n "$hostfile" ] && [ "$hostfile" = "${PE_HOSTFILE:-}" ]; then
    cut -d" " -f1 "$hostfile"
elif [ -n "$hostfile" ]; then
    cat "$hostfile"
elif [ -n "${SLURM_JOB_NODELIST:-}" ]; then
    scontrol show hostnames "$SLURM_JOB_NODELIST"
fi | awk '$0 != "" && !seen[$0]++' | head -n "$nodes" >"$folder/hosts"
printf '%s\n' "$node" >"$folder/node.sh"
printf 'exec %s\n' "$line" >"$folder/command"
pwd >"$folder/folder"
(
    unset HOST HOSTNAME PWD OLDPWD SHLVL DISPLAY XDG_RUNTIME_DIR SSH_CLIENT SSH_CONNECTION SSH_TTY
    unset SLURM_NODEID SLURM_PROCID SLURM_LOCALID SLURM_TASK_PID SLURMD_NODENAME CNFLOW_NODE_RANK
    export -p
) >"$folder/environment"
"""
    + _CHILDREN
)
"""Followed by one of the two below, and by `END`."""

PARALLEL = r"""[ -s "$folder/hosts" ] || {
    echo "GNU parallel has no list of hosts: this scheduler gives none. Set GnuParallelLauncher(hostfile=...)." >&2
    exit 71
}
"$program" --will-cite --nonall --jobs "$nodes" --line-buffer --sshloginfile "$folder/hosts" "$@" \
    "/bin/sh '$folder/node.sh' '$folder'" </dev/null &
"""
"""``--nonall`` runs a command once on each host: https://www.gnu.org/software/parallel/parallel.html (20221122)."""

# Open MPI: https://docs.open-mpi.org/en/v5.0.x/man-openmpi/man1/mpirun.1.html
# Hydra (MPICH, Intel, MVAPICH): https://github.com/pmodels/mpich/blob/main/doc/wiki/how_to/Using_the_Hydra_Process_Manager.md
MPI = r"""case $("$program" --version 2>&1) in
    *"Open MPI"* | *OpenRTE* | *PRTE* | *prte*) set -- --map-by ppr:1:node "$@" ;;
    *HYDRA*) set -- -ppn 1 -disable-auto-cleanup "$@" ;;
    *) set -- -ppn 1 "$@" ;;
esac
[ -s "$folder/hosts" ] && set -- --hostfile "$folder/hosts" "$@"
"$program" -n "$nodes" "$@" /bin/sh "$folder/node.sh" "$folder" </dev/null &
"""

END = r"""pids=$!
await "$pids"
worst=$code
for file in "$folder"/exit.*; do
    [ -f "$file" ] && read -r code <"$file" && [ "$code" -gt "$worst" ] && worst=$code
done
exit "$worst"
"""
