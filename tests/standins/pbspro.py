"""Commands of PBS Professional on the stand-in scheduler: qsub, qstat, qdel, qselect.

Formats and messages: "PBS Professional 2022.1 Reference Guide" (Altair): qsub, qstat, qdel, qselect, "Job Attributes",
"Error Codes" (the exit code is the error's number modulo 256); JOB_EXEC_KILL_WALLTIME: job.h of OpenPBS 22.05.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))  # Python is started without site

from scheduler import (  # type: ignore[import-not-found]
    CANCELLED,
    ENDED,
    FINISHED,
    HELD,
    QUEUED,
    RUNNING,
    WALLTIME,
    Job,
    SchedulerDownError,
    ask,
    jobs_of,
)

SERVER = "standin"
UNKNOWN_JOB, NO_CONNECTION, FINISHED_JOB, UNKNOWN_QUEUE, LIMITS = 153, 255, 35, 172, 188
LETTERS = {QUEUED: "Q", HELD: "H", RUNNING: "R", ENDED: "F"}


def main(spool: Path, program: str, arguments: list[str]) -> int:
    """Run *program*; return its exit code."""
    commands = {"qsub": qsub, "qstat": qstat, "qdel": qdel, "qselect": qselect}
    try:
        return commands[program](spool, arguments)
    except SchedulerDownError:
        print(f"Connection refused\n{program}: cannot connect to server {SERVER} (errno=15010)", file=sys.stderr)
        return NO_CONNECTION


def qsub(spool: Path, arguments: list[str]) -> int:
    """Submit a script."""
    text = Path(arguments[-1]).read_text()
    asked = options([*directives(text), *arguments[:-1]])
    resources = dict(item.split("=", 1) for each in asked.l for item in each.split(","))
    answer = ask(spool, "list")
    queue, walltime = asked.q or "workq", seconds(resources.get("walltime", ""))
    if queue not in answer["config"]["queues"]:
        return complain("qsub: Unknown queue", UNKNOWN_QUEUE)
    limit = answer["config"]["queues"][queue]
    if limit is not None and (walltime is None or walltime > limit):
        return complain("qsub: Job violates queue and/or server resource limits", LIMITS)
    if asked.A and asked.A not in answer["config"]["accounts"]:
        return complain(f"qsub: job rejected by hook 'accounts': account {asked.A!r} is not valid", 1)
    nodes, _, chunk = resources.get("select", "1").partition(":")
    chunk = dict(item.split("=", 1) for item in chunk.split(":") if item)
    size = None
    if asked.J:
        first, last = map(int, asked.J.split("-"))
        size = last - first + 1
    mark = "[{index}]" if size else ""
    number = ask(
        spool,
        "submit",
        script=text,
        name=asked.N or Path(arguments[-1]).name,
        output=escaped(asked.o).replace("^array_index^", "{index}"),
        nodes=int(nodes),
        cpus=int(chunk.get("ncpus", 1)),
        walltime=walltime,
        queue=queue,
        account=asked.A or "",
        held=asked.h,
        size=size,
        environment={
            "PBS_ENVIRONMENT": "PBS_BATCH",
            "PBS_JOBID": f"{{number}}{mark}.{SERVER}",
            "PBS_JOBNAME": asked.N or "",
            "PBS_NODEFILE": "{hostfile}",
            "PBS_O_WORKDIR": escaped(str(Path.cwd())),
            "PBS_QUEUE": queue,
            **({"PBS_ARRAY_INDEX": "{index}"} if size else {}),
        },
        options={
            "select": resources.get("select", "1"),
            "walltime": resources.get("walltime", ""),
            "walltime_line": f"=>> PBS: job killed: walltime exceeded limit {walltime}",
        },
    )["number"]
    print(f"{number}{'[]' if size else ''}.{SERVER}")
    return 0


def qstat(spool: Path, arguments: list[str]) -> int:
    """Print the attributes of jobs: ``qstat -f [-x] [-t] [ID ...]``."""
    flags = {each for each in arguments if each.startswith("-")}
    names = [each for each in arguments if not each.startswith("-")]
    jobs, code = jobs_of(spool), 0
    if not names:
        return show([job for job in jobs if job.state != ENDED])
    for name in names:
        found = [job for job in jobs if belongs(job, name)]
        alive = any(job.state != ENDED for job in jobs if found and job.number == found[0].number)
        if not found:
            code = complain(f"qstat: Unknown Job Id {name}", UNKNOWN_JOB)
        elif not alive and "-x" not in flags:
            code = complain(
                f"qstat: {name} Job has finished, use -x or -H to obtain historical job information", FINISHED_JOB
            )
        else:
            show(found)
    return code


def qdel(spool: Path, arguments: list[str]) -> int:
    """Delete jobs."""
    code = 0
    for name in arguments:
        number, index = parsed(name)
        answer = ask(spool, "cancel", number=number, index=index)["answer"]
        if answer == "unknown":
            code = complain(f"qdel: Unknown Job Id {name}", UNKNOWN_JOB)
        elif answer == "ended":
            code = complain(f"qdel: Job has finished {name}", FINISHED_JOB)
    return code


def qselect(spool: Path, arguments: list[str]) -> int:
    """Print ids of a user's jobs that have not ended."""
    owner = arguments[arguments.index("-u") + 1]
    ids = {}
    for job in jobs_of(spool):
        if job.state != ENDED and job.owner == owner:
            ids[f"{job.number}{'' if job.index is None else '[]'}.{SERVER}"] = None
    print("\n".join(ids))
    return 0


def show(jobs: list[Job]) -> int:
    """Print the attributes of *jobs*, in lines of 78 characters as qstat does."""
    for job in jobs:
        mark = "" if job.index is None else f"[{job.index}]"
        print(f"Job Id: {job.number}{mark}.{SERVER}")
        for name, value in attributes(job).items():
            line = f"    {name} = {value}"
            print("\n\t".join([line[:78], *re.findall(r".{1,70}", line[78:])]))
        print()
    return 0


def attributes(job: Job) -> dict[str, object]:
    """Attributes of a job."""
    letter = "X" if job.state == ENDED and job.index is not None else LETTERS[job.state]
    shown: dict[str, object] = {"Job_Name": job.name, "Job_Owner": f"{job.owner}@{SERVER}"}
    if job.started is not None:
        spent = (job.ended or time.time()) - job.started
        shown |= {"resources_used.cput": "00:00:00", "resources_used.walltime": clock(spent)}
    shown |= {"job_state": letter, "queue": job.queue, "server": SERVER}
    shown |= {"Account_Name": job.account} if job.account else {}
    shown |= {"ctime": time.ctime(job.submitted), "Join_Path": "oe", "Rerunable": "False"}
    if job.hosts:
        shown["exec_host"] = "+".join(f"{host}/0*{job.cpus}" for host in job.hosts)
    shown["Output_Path"] = f"{SERVER}:{job.output}"
    shown["Resource_List.nodect"] = job.nodes
    shown["Resource_List.select"] = job.options["select"]
    shown |= {"Resource_List.walltime": job.options["walltime"]} if job.options["walltime"] else {}
    if comment := comment_on(job):
        shown["comment"] = comment
    if job.state == ENDED and exit_status(job) is not None:
        shown["Exit_status"] = exit_status(job)
    shown |= {"array_index": job.index} if job.index is not None else {}
    return shown


def comment_on(job: Job) -> str:
    """The scheduler's remark."""
    if job.state == QUEUED:
        asked = job.nodes * job.cpus
        why = "Can Never Run" if job.never else "Not Running"
        return f"{why}: Insufficient amount of resource: ncpus (R: {asked} A: 0 T: 256)" if job.reason else ""
    if job.started is None:
        return "Job held by the user" if job.state == HELD else "Not Running: deleted by the user and terminated"
    at = time.strftime("%a %b %d at %H:%M", time.localtime(job.started))
    run = f"Job run at {at} on ({'+'.join(f'{host}:ncpus={job.cpus}' for host in job.hosts)})"
    if job.state == RUNNING:
        return run
    good = job.end == FINISHED and job.exit_code == 0
    return f"{run} and {'terminated' if job.end == CANCELLED else 'finished' if good else 'failed'}"


def exit_status(job: Job) -> int | None:
    """PBS's number: that of a signal is above 256, those that PBS itself sets are negative."""
    if job.end == WALLTIME:
        return -29  # JOB_EXEC_KILL_WALLTIME
    if job.exit_code is None:
        return None
    if job.reason:
        return -1  # JOB_EXEC_FAIL1: before files were there
    return 256 - job.exit_code if job.exit_code < 0 else job.exit_code


def directives(text: str) -> list[str]:
    """Options in the ``#PBS`` lines before the first command."""
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("#PBS"):
            words += shlex.split(line[len("#PBS") :])
        elif line.strip() and not line.startswith("#"):
            break
    return words


def options(words: list[str]) -> argparse.Namespace:
    """Parsed options of qsub."""
    parser = argparse.ArgumentParser("qsub", add_help=False)
    for name in "AJNPSjmoqrv":
        parser.add_argument(f"-{name}")
    parser.add_argument("-l", action="append", default=[])
    parser.add_argument("-h", action="store_true")
    return parser.parse_args(words)


def parsed(name: str) -> tuple[int, int | None]:
    """Number and index of a job id; of a whole array no index."""
    found = re.match(r"(\d+)(?:\[(\d*)\])?", name)
    return (int(found[1]), int(found[2]) if found[2] else None) if found else (0, None)


def belongs(job: Job, name: str) -> bool:
    """The id *name* is that of *job*, or of its array."""
    number, index = parsed(name)
    return job.number == number and index in {None, job.index}


def seconds(text: str) -> float | None:
    """Seconds of ``HH:MM:SS``; None of an empty text."""
    total = 0
    for part in text.split(":") if text else []:
        total = 60 * total + int(part)
    return float(total) if text else None


def clock(spent: float) -> str:
    """``HH:MM:SS``."""
    return f"{int(spent) // 3600:02}:{int(spent) // 60 % 60:02}:{int(spent) % 60:02}"


def escaped(text: str) -> str:
    """*text* for str.format."""
    return text.replace("{", "{{").replace("}", "}}")


def complain(message: str, code: int) -> int:
    """Print *message* as an error."""
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
