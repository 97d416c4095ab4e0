import pytest

from cnflow.monitoring.queries import views
from cnflow.monitoring.report.collect import RunReport

BEGAN = 1_800_000_000.0
HOSTILE = '<script>alert(1)</script>\x1b[31m & "more"'


def step(number, done=8, failed=1):
    return views.Step(time=BEGAN + number, submitted=10, launched=10, done=done, failed=failed, cancelled=0)


def bar(number):
    start = BEGAN + number // 8 * 2.0
    state = "failed" if number % 9 == 0 else "done"
    place = {"manager": f"m{number % 4 // 2}", "host": f"node{number % 4 // 2}", "worker": number % 4}
    return views.Bar(**place, start=start, end=start + 1.5, task=number, app="train", state=state)


@pytest.fixture
def report():
    """Report of a run with something in each of its parts, and hostile texts."""
    task = views.TaskView(
        id=7,
        app=HOSTILE,
        state="failed",
        executor="htex",
        image="",
        host="node0",
        submitted=BEGAN,
        ended=BEGAN + 3,
        run_seconds=1.5,
        tries=2,
        error=HOSTILE,
    )
    return RunReport(
        run=views.RunView(
            id="0f" * 16,
            name="digits",
            version="1",
            state="ended",
            began=BEGAN,
            ended=BEGAN + 60,
            host="login1",
            user="ann",
            run_dir="/home/ann/runinfo/007",
            script="train.py",
            tasks=600,
            done=480,
            failed=60,
            cancelled=0,
        ),
        states={"done": 480, "failed": 55, "dependency_failed": 5, "waiting": 60},
        apps=[
            views.AppView(app="train", states={"done": 400, "failed": 55}, run_seconds=700.0),
            views.AppView(app=HOSTILE, states={"done": 80, "dependency_failed": 5, "waiting": 60}, run_seconds=12.0),
        ],
        steps=[step(number) for number in range(60)],
        bars=[bar(number) for number in range(200)],
        errors=[
            views.ErrorGroup(
                id="a", type="ValueError", app="train", message=HOSTILE, count=55, first_task=7, first=BEGAN, last=BEGAN
            )
        ],
        failed=[task],
        blocks=[
            views.BlockView(
                executor="htex",
                block="0",
                native="4711",
                provider="slurm",
                state="ended",
                reason="COMPLETED",
                first=BEGAN,
                last=BEGAN + 55,
                statuses=[],
                usd=0.25,
                tasks=540,
                busy_seconds=180.0,
                worker_seconds=220.0,
            )
        ],
        nodes=[
            views.NodeView(
                manager="m0",
                executor="htex",
                block="0",
                host="node0",
                workers=2,
                cores=2.0,
                memory_bytes=2**34,
                gpus="A100",
                image="python:3.12",
                python="3.12.1",
                is_up=False,
                began=BEGAN,
                ended=BEGAN + 55,
                reason="",
                tasks=270,
                busy_seconds=90.0,
            )
        ],
        images=[],
        usage=[
            views.Usage(
                app="train",
                tasks=455,
                asked_cores=4.0,
                used_cores=1.1,
                asked_memory_bytes=2**33,
                peak_memory_bytes=2**31,
                median_peak_bytes=2**30,
                gpus=None,
                gpu_percent=None,
                advice="Ask for 1 core: 1.1 of 4 were used.",
            )
        ],
        made=BEGAN + 100,
    )
