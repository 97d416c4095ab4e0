"""``python3 tests/devices/gpu_samples.py``: samples of GPUs on a machine that has one, compared with nvidia-smi.

Needs a driver of NVIDIA and nothing else: no CUDA toolkit, no package. It takes about half a minute. Two processes
stand for tasks: each takes memory on the first device, and writes to it without end.
"""

import ctypes
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GIB = 2**30


def use_device(size):
    """Take *size* bytes of the first device and write to them, until killed."""
    cuda = ctypes.CDLL("libcuda.so.1")
    device, context, pointer = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_ulonglong()

    def call(name, *arguments):
        code = getattr(cuda, name)(*arguments)
        if code:
            sys.exit(f"{name} returned {code}")

    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuCtxCreate_v2", ctypes.byref(context), 0, device)
    call("cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(size))
    print("ready", flush=True)
    while True:
        for _ in range(64):
            call("cuMemsetD8_v2", pointer, ctypes.c_ubyte(1), ctypes.c_size_t(size))
        call("cuCtxSynchronize")


def asked(*query):
    """Answer of nvidia-smi, by lines."""
    command = ["nvidia-smi", *query, "--format=csv,noheader,nounits"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.split("\n")[:-1]


def started(size):
    """Process of a task, once it has the device."""
    process = subprocess.Popen(
        [sys.executable, __file__, "use", str(size)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def main():
    """Compare, and return how many comparisons failed."""
    sys.path.insert(0, str(ROOT))
    from cnflow.manager.usage import nvml, sampler

    failures = []

    def check(what, is_so, shown=""):
        print("ok  " if is_so else "FAIL", what, shown, flush=True)
        if not is_so:
            failures.append(what)

    begun = time.perf_counter()
    library = nvml.open_nvml()
    check("the library opens", library is not None, f"{time.perf_counter() - begun:.3f} s")
    if library is None:
        return 1
    print("nvidia-smi:", asked("--query-gpu=name,driver_version,mig.mode.current"))
    idle = library.read()
    check("devices are those of nvidia-smi", [each.uuid for each in idle] == asked("--query-gpu=uuid"), idle)
    tasks = [started(3 * GIB), started(GIB)]
    try:
        time.sleep(3)
        busy = library.read()
        used, percent = map(float, asked("--query-gpu=memory.used,utilization.gpu")[0].split(","))
        near = abs(busy[0].used / 2**20 - used) < 600  # nvidia-smi leaves out what the driver keeps for itself
        check("memory is that of nvidia-smi", near, f"{busy[0].used / 2**20:.0f} MiB, nvidia-smi {used:.0f} MiB")
        check(
            "memory has risen", busy[0].used - idle[0].used > 4 * GIB, f"{(busy[0].used - idle[0].used) / GIB:.2f} GiB"
        )
        check("the device is in use", busy[0].percent > 20, f"{busy[0].percent} %, nvidia-smi {percent} %")
        print("processes:", busy[0].processes, "ours:", [task.pid for task in tasks])
        print("nvidia-smi:", asked("--query-compute-apps=pid,used_memory"))
        check_tasks(sampler, tasks, check)
        times = []
        for _ in range(20):
            begun = time.perf_counter()
            library.read()
            times.append(time.perf_counter() - begun)
        print(f"one read: median {1000 * statistics.median(times):.2f} ms, longest {1000 * max(times):.2f} ms")
    finally:
        for task in tasks:
            os.killpg(task.pid, signal.SIGKILL)
            task.wait()
    time.sleep(2)
    check("memory is free again", library.read()[0].used - idle[0].used < GIB)
    library.close()
    return len(failures)


def check_tasks(sampler, tasks, check):
    """Compare what the manager's thread measures of the two tasks."""
    thread = sampler.Sampler()
    targets = [sampler.Target(rank, task.pid, rank, 0) for rank, task in enumerate(tasks)]
    thread.ask(targets)
    deadline = time.monotonic() + 20
    while not (looks := thread.take()) and time.monotonic() < deadline:
        time.sleep(0.05)
    check("the thread measures", bool(looks))
    if not looks:
        return
    (look,) = looks
    print("node:", look.node, look.cpu_percent, look.gpu)
    by_task = [gpu for _, _, gpu in look.tasks]
    print("tasks:", [(use._replace(pids=None), gpu) for _, use, gpu in look.tasks])
    if all(gpu.used >= 0 for gpu in by_task):
        large, small = by_task
        check("memory is that of each task", large.used > 3 * GIB > 2 * GIB > small.used > GIB, by_task)
        check("a task's device is in use", large.percent > 20)
    else:  # the driver's numbers of processes are not ours, and both see the device: nothing can be told apart
        check("a device that two tasks see is given to neither", all(gpu.used < 0 for gpu in by_task))
        thread.ask(targets[:1])
        while not (looks := thread.take()) and time.monotonic() < deadline:
            time.sleep(0.05)
        alone = looks[0].tasks[0][2]
        check("a device that one task sees alone is its own", alone.used > 3 * GIB, alone)


if __name__ == "__main__":
    if sys.argv[1:2] == ["use"]:
        use_device(int(sys.argv[2]))
    sys.exit(main())
