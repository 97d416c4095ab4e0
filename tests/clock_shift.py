"""A wall clock that a test sets: processes read it through a preloaded library, which adds a shift from a shared file.

libfaketime does not work here: its clock_nanosleep fails if it leaves the monotonic clock alone.
"""

import struct
import subprocess

LIBRARY = """\
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long *shift; /* seconds, in a file that all processes share */

__attribute__((constructor)) static void begin(void) {
    int file = open(getenv("CLOCK_SHIFT"), O_RDONLY);
    void *map = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (map != MAP_FAILED) shift = map;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *shift;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    now->tv_sec = fine.tv_sec;
    now->tv_usec = fine.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec fine;
    clock_gettime(CLOCK_REALTIME, &fine);
    if (now) *now = fine.tv_sec;
    return fine.tv_sec;
}
"""


def build(folder):
    """Compile the library into *folder*; return its path, for ``LD_PRELOAD``."""
    library = folder / "clock.so"
    compiler = ["cc", "-shared", "-fPIC", "-o", str(library), "-x", "c", "-"]
    subprocess.run(compiler, input=LIBRARY, text=True, check=True)
    return library


def write_shift(file, seconds):
    """Set the shift in *file*, the value of ``CLOCK_SHIFT``; in place, because processes have mapped it."""
    mode = "r+b" if file.exists() else "wb"
    with file.open(mode) as shift:
        shift.write(struct.pack("l", seconds))
