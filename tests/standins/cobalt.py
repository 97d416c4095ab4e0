"""Commands of Cobalt 1.0 on the stand-in scheduler: qsub, qstat, qdel.

Formats and messages: man/POSIX/qsub.1, src/clients/POSIX/{qsub,qstat,qdel}.py and src/lib/Components/cqm.py of
https://github.com/ido/cobalt. A job's log is written when the job is looked at, not when it ends.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shlex
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # Python is started without site

from scheduler import (  # type: ignore[import-not-found]
    CANCELLED,
    ENDED,
    HELD,
    QUEUED,
    WALLTIME,
    Job,
    SchedulerDownError,
    ask,
    jobs_of,
)


def main(spool: Path, program: str, arguments: list[str]) -> int:
    """Run *program*; return its exit code."""
    commands = {"qsub": qsub, "qstat": qstat, "qdel": qdel, "aprun": aprun}
    try:
        return commands[program](spool, arguments)
    except SchedulerDownError:
        return complain("Failed to connect to queue manager")


def qsub(spool: Path, arguments: list[str]) -> int:
    """Submit an executable script; the only thing on stdout is its number."""
    script = Path(arguments[-1])
    text = script.read_text()
    asked = options([*directives(text), *arguments[:-1]])
    config = ask(spool, "list")["config"]
    why = refusal(script, asked, config)
    if why:
        return complain(why)
    queue, walltime = asked.q or "workq", config.get("minute", 60.0) * int(asked.t)
    print(f'Job routed to queue "{queue}".', file=sys.stderr)
    number = ask(
        spool,
        "submit",
        script=text,
        name=asked.jobname or "N/A",
        output=escaped(asked.o),
        nodes=int(asked.n),
        walltime=walltime,
        queue=queue,
        account=asked.A or "",
        held=asked.h,
        environment={
            "COBALT_JOBID": "{number}",
            "COBALT_JOBSIZE": asked.n,
            "COBALT_NODEFILE": "{hostfile}",
            "COBALT_PARTNAME": "{hosts}",
            "COBALT_PARTSIZE": asked.n,
        },
        options={"log": asked.debuglog or ""},
    )["number"]
    print(number)
    return 0


def refusal(script: Path, asked: argparse.Namespace, config: dict) -> str:
    """Why the queue manager, or a filter of the site, does not take the job; empty if it does."""
    queue = asked.q or "workq"
    limit = config["queues"].get(queue)
    for is_wrong, words in (
        (not os.access(script, os.X_OK), f"command {script} is not executable"),
        (asked.n is None or asked.t is None, "Not all required arguments provided: time,nodecount needed"),
        (queue not in config["queues"], f"queue '{queue}' does not exist"),
        (limit is not None and 60 * int(asked.t) > limit, f"The walltime is above the limit of queue '{queue}'"),
        (
            asked.A not in {None, *config["accounts"]},
            f"Filter clusterbank-account failed: {asked.A} is not a valid project",
        ),
        (int(asked.n) > config["nodes"], "node count out of realistic range"),
    ):
        if is_wrong:
            return words
    return ""


def qstat(spool: Path, arguments: list[str]) -> int:
    """Print a table: ``qstat --header FIELD:... [-u USER] [ID ...]``; jobs that ended are not in it."""
    parser = argparse.ArgumentParser("qstat", add_help=False)
    parser.add_argument("--header")
    parser.add_argument("-u")
    parser.add_argument("ids", nargs="*", type=int)
    asked = parser.parse_args(arguments)
    jobs = jobs_of(spool)
    for job in jobs:
        write_log(job)
    found = [job for job in jobs if job.state != ENDED and (job.number in asked.ids or not asked.ids)]
    if asked.ids and not found:
        return 1
    fields = asked.header.split(":")
    rows = [[described(job)[field] for field in fields] for job in found if asked.u in {None, job.owner}]
    widths = [max(len(row[column]) for row in [fields, *rows]) for column in range(len(fields))]
    print("  ".join(name.ljust(width) for name, width in zip(fields, widths, strict=True)))
    print("=" * (sum(widths) + 2 * len(widths) - 2))
    for row in rows:
        print("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)))
    return 0


def qdel(spool: Path, arguments: list[str]) -> int:
    """Delete jobs."""
    deleted = []
    for name in arguments:
        if ask(spool, "cancel", number=int(name))["answer"] == "cancelled":
            deleted.append(name)
        else:
            print(f"qdel: Job {name} not found")
    if deleted:
        print("      Deleted Jobs\nJobID  User\n=============")
        for name in deleted:
            print(f"{name}   {pwd.getpwuid(os.getuid()).pw_name}")
    return 0


def aprun(spool: Path, arguments: list[str]) -> int:
    """Run a command as often as asked for: ``aprun -n COPIES [OPTION VALUE ...] COMMAND ...``."""
    copies, words = 1, list(arguments)
    while words[0].startswith("-"):
        option, value = words.pop(0), words.pop(0)
        copies = int(value) if option == "-n" else copies
    started = [subprocess.Popen(words) for _ in range(copies)]
    return max(each.wait() for each in started)


def described(job: Job) -> dict[str, str]:
    """Values of the fields of a table."""
    states = {QUEUED: "queued", HELD: "user_hold", ENDED: "exiting"}
    return {
        "JobID": str(job.number),
        "JobName": job.name,
        "State": "killing" if job.killed is not None else states.get(job.state, "running"),
        "Location": ",".join(job.hosts) or "None",
        "User": job.owner,
    }


def write_log(job: Job) -> None:
    """Write the log of a job that ended, as the queue manager does."""
    if job.state != ENDED or not job.options["log"]:
        return
    log = Path(job.options["log"].replace("$jobid", str(job.number)))
    if log.exists():
        return
    lines = [f"{stamp(job.submitted)} Info: submitted with script", f"{stamp(job.ended)} Info: {end_of(job)}"]
    if job.end == WALLTIME:
        lines.insert(1, f"{stamp(job.ended)} Info: maximum execution time exceeded; initiating job termination")
    beside = log.with_suffix(".part")
    beside.write_text("\n".join(lines) + "\n")
    beside.rename(log)


def end_of(job: Job) -> str:
    """The manager's words on an end."""
    if job.end == CANCELLED and job.started is None:
        return "user delete requested; removing job from the queue"
    if job.end == CANCELLED:
        return f"user delete with signal SIGTERM requested by user {job.owner}; initiating job cleanup and removal"
    code = job.exit_code or 0
    return f"task completed normally with an exit code of {128 - code if code < 0 else code}; initiating job cleanup"


def directives(text: str) -> list[str]:
    """Options in the ``#COBALT`` lines."""
    return [word for line in text.splitlines() if line.startswith("#COBALT") for word in shlex.split(line[7:])]


def options(words: list[str]) -> argparse.Namespace:
    """Parsed options of qsub."""
    parser = argparse.ArgumentParser("qsub", add_help=False, allow_abbrev=False)
    for name in ("-n", "-t", "-q", "-A", "-o", "-e", "--jobname", "--debuglog", "--attrs", "--mode"):
        parser.add_argument(name)
    parser.add_argument("-h", action="store_true")
    return parser.parse_args(words)


def stamp(moment: float) -> str:
    """A time as a job's log has it."""
    return time.strftime("%a %b %d %H:%M:%S %Y +0000 (UTC)", time.gmtime(moment))


def escaped(text: str) -> str:
    """*text* for str.format."""
    return text.replace("{", "{{").replace("}", "}}")


def complain(message: str) -> int:
    """Print *message* as an error."""
    print(message, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
