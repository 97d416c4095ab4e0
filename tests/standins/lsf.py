"""Commands of IBM Spectrum LSF on the stand-in scheduler: bsub, bjobs, bkill, bhist.

Formats and messages: "IBM Spectrum LSF 10.1 Command Reference": bsub, bjobs (-o), bkill, bhist (-l), and bacct's
"Termination reasons". A job that runs out of time gets SIGTERM of the core, where LSF sends SIGUSR2 first; a notice
(``-wt``) is not given.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import textwrap
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

REASONS = {
    WALLTIME: "TERM_RUNLIMIT: job killed after reaching LSF run time limit",
    CANCELLED: "TERM_OWNER: job killed by owner",
}


def main(spool: Path, program: str, arguments: list[str]) -> int:
    """Run *program*; return its exit code."""
    commands = {"bsub": bsub, "bjobs": bjobs, "bkill": bkill, "bhist": bhist, "jsrun": jsrun}
    try:
        return commands[program](spool, arguments)
    except SchedulerDownError:
        return complain("Failed in an LSF library call: LIM is down; try later\nLSF is down. Please wait ...")


def bsub(spool: Path, arguments: list[str]) -> int:
    """Submit the script on the standard input."""
    text = sys.stdin.read()
    asked = options([*directives(text), *arguments])
    config = ask(spool, "list")["config"]
    queue = asked.q or "workq"
    walltime = None if asked.W is None else config.get("minute", 60.0) * int(asked.W)
    if queue not in config["queues"]:
        return complain(f"{queue}: No such queue. Job not submitted.")
    limit = config["queues"][queue]
    if limit is not None and (walltime is None or walltime > limit):
        return complain("RUNLIMIT: Cannot exceed queue's hard limit(s). Job not submitted.")
    if asked.P and asked.P not in config["accounts"]:
        return complain(f"Request aborted by esub: {asked.P} is no project of yours. Job not submitted.")
    nodes, cpus = layout(asked)
    if nodes > config["nodes"]:
        return complain("Too many processors requested. Job not submitted.")
    name, first, last = re.fullmatch(r"([^[]*)(?:\[(\d+)-(\d+)\])?", asked.J or "NONAME").groups()
    size = int(last) - int(first) + 1 if first else None
    number = ask(
        spool,
        "submit",
        script=text,
        name=name,
        output=escaped(asked.o).replace("%I", "{index}"),
        nodes=nodes,
        cpus=cpus,
        walltime=walltime,
        queue=queue,
        account=asked.P or "",
        held=asked.H,
        size=size,
        first=int(first or 0),
        environment={
            "LSB_BATCH_JID": "{number}",
            "LSB_HOSTS": "{hosts}",
            "LSB_JOBID": "{number}",
            "LSB_JOBINDEX": "{index}" if size else "0",
            "LSB_JOBNAME": name,
            "LSB_QUEUE": queue,
        },
        options={"walltime_line": REASONS[WALLTIME] + "."},
    )["number"]
    default = "" if asked.q else "default "
    print(f"Job <{number}> is submitted to {default}queue <{queue}>.")
    return 0


def bjobs(spool: Path, arguments: list[str]) -> int:
    """Print chosen fields: ``bjobs -noheader -o "FIELD ... delimiter='^'" [ID ...]``."""
    chosen = arguments[arguments.index("-o") + 1]
    mark = re.search(r"delimiter='(.)'", chosen)[1]
    fields = re.sub(r"delimiter='.'", "", chosen).split()
    names = [each for each in arguments[arguments.index("-o") + 2 :] if not each.startswith("-")]
    jobs, code = jobs_of(spool), 0
    if not names:
        found = [job for job in jobs if job.state != ENDED]
        if not found:
            return complain("No unfinished job found", 255)
    else:
        found = []
        for name in names:
            own = [job for job in jobs if belongs(job, name)]
            found += own
            if not own:
                code = complain(f"Job <{name}> is not found", 255)
    for job in found:
        values = described(job)
        print(mark.join(values[field] or "-" for field in fields))
    return code


def bkill(spool: Path, arguments: list[str]) -> int:
    """Kill jobs."""
    code = 0
    for name in arguments:
        number, index = parsed(name)
        answer = ask(spool, "cancel", number=number, index=index)["answer"]
        if answer == "unknown":
            code = complain(f"Job <{name}>: No matching job found", 255)
        elif answer == "ended":
            code = complain(f"Job <{name}>: Job has already finished", 255)
        else:
            print(f"Job <{name}> is being terminated")
    return code


def bhist(spool: Path, arguments: list[str]) -> int:
    """Print the history of jobs: ``bhist -n N -l ID ...``, in lines of 80 characters."""
    names = [each for each in arguments if re.match(r"\d+(\[\d+\])?$", each) and each != arguments[1]]
    found = [job for job in jobs_of(spool) for name in names if belongs(job, name)]
    for job in found:
        head = f"Job <{shown_id(job)}>, Job Name <{job.name}>, User <{job.owner}>, Project <{job.account or 'default'}>"
        events = [f"{stamp(job.submitted)}: Submitted from host <standin>, to Queue <{job.queue}>, CWD <$HOME>;"]
        if job.started is not None:
            events.append(f"{stamp(job.started)}: Dispatched {len(job.hosts)} Task(s) on Host(s) <{job.hosts[0]}>;")
            events.append(f"{stamp(job.started)}: Starting (Pid 4242);")
        events += ended(job)
        print("\n".join(wrapped(line) for line in [f"{head}, Command <#!/bin/sh>", *events]))
        print("\nSummary of time in seconds spent in various states\n  PEND     PSUSP    RUN      USUSP    SSUSP\n")
    return 0 if found else complain("No matching job found", 255)


def jsrun(spool: Path, arguments: list[str]) -> int:
    """Run a command as often as there are resource sets: ``jsrun -n SETS [OPTION VALUE ...] COMMAND ...``."""
    sets, words = 1, list(arguments)
    while words[0].startswith("-"):
        option, value = words.pop(0), words.pop(0)
        sets = int(value) if option == "-n" else sets
    started = [subprocess.Popen(words) for _ in range(sets)]
    return max(each.wait() for each in started)


def ended(job: Job) -> list[str]:
    """Events of a job's end."""
    if job.state != ENDED:
        return []
    at = stamp(job.ended)
    if job.exit_code == 0 and job.end not in REASONS:
        return [f"{at}: Done successfully. The CPU time used is 0.1 seconds;"]
    reason = f"; {REASONS[job.end]}" if job.end in REASONS else ""
    if job.exit_code is None:
        return [f"{at}: Exited; The CPU time used is unknown;", f"{at}: Completed <exit>{reason};"]
    how = f"by signal {-job.exit_code}" if job.exit_code < 0 else f"with exit code {job.exit_code}"
    return [f"{at}: Exited {how}. The CPU time used is 0.1 seconds;", f"{at}: Completed <exit>{reason};"]


def described(job: Job) -> dict[str, str]:
    """Values of the fields of ``bjobs -o``."""
    states = {QUEUED: "PEND", HELD: "PSUSP", ENDED: "EXIT"}
    good = job.state == ENDED and job.exit_code == 0 and job.end not in REASONS
    code = job.exit_code or 0
    return {
        "jobid": str(job.number),
        "jobindex": str(job.index or 0),
        "job_name": job.name if job.index is None else f"{job.name}[{job.index}]",
        "stat": "DONE" if good else states.get(job.state, "RUN"),
        "exit_code": str(128 - code if code < 0 else code) if job.state == ENDED and code else "",
        "exec_host": ":".join(f"{job.cpus}*{host}" for host in job.hosts),
        "estimated_start_time": "",
        "exit_reason": REASONS.get(job.end, "") if job.state == ENDED else "",
        "pend_reason": pending(job),
    }


def pending(job: Job) -> str:
    """Reason for which a job waits."""
    if job.state == HELD:
        return "Job was suspended by the user while pending;"
    return "Job's requirements for resource reservation not satisfied: 4 hosts;" if job.state == QUEUED else ""


def layout(asked: argparse.Namespace) -> tuple[int, int]:
    """Nodes, and cores of each."""
    if asked.nnodes:
        return int(asked.nnodes), 1
    tile = re.search(r"ptile=(\d+)", asked.R or "")
    cores = int(tile[1]) if tile else 1
    return -(-int(asked.n or 1) // cores), cores


def directives(text: str) -> list[str]:
    """Options in the ``#BSUB`` lines."""
    return [word for line in text.splitlines() if line.startswith("#BSUB") for word in shlex.split(line[5:])]


def options(words: list[str]) -> argparse.Namespace:
    """Parsed options of bsub."""
    parser = argparse.ArgumentParser("bsub", add_help=False, allow_abbrev=False)
    for name in ("J", "o", "e", "W", "wt", "wa", "q", "P", "G", "app", "n", "nnodes", "R", "gpu"):
        parser.add_argument(f"-{name}")
    parser.add_argument("-rn", action="store_true")
    parser.add_argument("-H", action="store_true")
    return parser.parse_args(words)


def parsed(name: str) -> tuple[int, int | None]:
    """Number and index of a job id; of a whole array no index."""
    found = re.fullmatch(r"(\d+)(?:\[(\d+)\])?", name)
    return (int(found[1]), int(found[2]) if found[2] else None) if found else (0, None)


def belongs(job: Job, name: str) -> bool:
    """The id *name* is that of *job*, or of its array."""
    number, index = parsed(name)
    return job.number == number and index in {None, job.index}


def shown_id(job: Job) -> str:
    """Id as LSF prints it."""
    return str(job.number) if job.index is None else f"{job.number}[{job.index}]"


def wrapped(line: str) -> str:
    """*line* with LSF's margin."""
    return "\n".join(textwrap.wrap(line, 79, subsequent_indent=" " * 21, drop_whitespace=False, break_on_hyphens=False))


def stamp(moment: float) -> str:
    """A time as bhist prints it."""
    return time.strftime("%a %b %d %H:%M:%S", time.localtime(moment))


def escaped(text: str) -> str:
    """*text* for str.format."""
    return text.replace("{", "{{").replace("}", "}}")


def complain(message: str, code: int = 255) -> int:
    """Print *message* as an error."""
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
