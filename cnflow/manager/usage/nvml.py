"""Only caller of NVML, the library of NVIDIA's driver that tells what its devices do.

The library comes with the driver, on a node as in a container that is given devices; it is called directly, since
images seldom have a package for it. What it cannot tell, such as the use of a device that is cut up (MIG), is below 0.
https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
from typing import NamedTuple, Optional

logger = logging.getLogger(__name__)

_LIBRARY = "libnvidia-ml.so.1"
_SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg")
"""Files of a loaded driver; the last one is that of Windows' subsystem for Linux."""

_UNKNOWN_BYTES = 2**64 - 1
_INSUFFICIENT_SIZE = 7
_SPARE = 16
"""Processes that may start between the two calls of a list."""

_NAME_LENGTH = 96


class DeviceUse(NamedTuple):
    """Use of one device."""

    uuid: str
    used: int
    """Bytes."""

    percent: float
    processes: dict[int, int]
    """Bytes by process; numbers of the host's processes, which a container may not know."""


class NvmlError(Exception):
    """The library reports an error."""


class _Memory(ctypes.Structure):
    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class _MemoryWithReserve(ctypes.Structure):
    _fields_ = [
        ("version", ctypes.c_uint),
        ("total", ctypes.c_ulonglong),
        ("reserved", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    ]


class _Utilization(ctypes.Structure):
    _fields_ = [("gpu", ctypes.c_uint), ("memory", ctypes.c_uint)]


class _ProcessInfo(ctypes.Structure):
    _fields_ = [
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    ]


class Nvml:
    """The library, opened; see the module.

    Raises:
        NvmlError: it cannot be started.
        OSError: there is none.
    """

    def __init__(self, library: str = _LIBRARY) -> None:
        self._library = ctypes.CDLL(library)
        self._call("nvmlInit_v2")
        count = ctypes.c_uint()
        self._call("nvmlDeviceGetCount_v2", ctypes.byref(count))
        self._devices = [self._device(number) for number in range(count.value)]

    def read(self) -> list[DeviceUse]:
        """Return the use of each device, in the order of the library's numbers."""
        return [DeviceUse(uuid, self._used(at), self._percent(at), self._processes(at)) for at, uuid in self._devices]

    def close(self) -> None:
        """End the session with the driver."""
        with contextlib.suppress(NvmlError):
            self._call("nvmlShutdown")

    def _device(self, number: int) -> tuple[ctypes.c_void_p, str]:
        handle, name = ctypes.c_void_p(), ctypes.create_string_buffer(_NAME_LENGTH)
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(number), ctypes.byref(handle))
        self._call("nvmlDeviceGetUUID", handle, name, ctypes.c_uint(_NAME_LENGTH))
        return handle, name.value.decode(errors="replace")

    def _used(self, device: ctypes.c_void_p) -> int:
        memory = _MemoryWithReserve(version=ctypes.sizeof(_MemoryWithReserve) | 2 << 24)  # NVML_STRUCT_VERSION
        older = _Memory()  # counts what the driver keeps for itself as used
        try:
            self._call("nvmlDeviceGetMemoryInfo_v2", device, ctypes.byref(memory))
        except NvmlError:
            try:
                self._call("nvmlDeviceGetMemoryInfo", device, ctypes.byref(older))
            except NvmlError:
                return -1
            return int(older.used)
        return int(memory.used)

    def _percent(self, device: ctypes.c_void_p) -> float:
        rates = _Utilization()
        try:
            self._call("nvmlDeviceGetUtilizationRates", device, ctypes.byref(rates))
        except NvmlError:
            return -1.0
        return float(rates.gpu)

    def _processes(self, device: ctypes.c_void_p) -> dict[int, int]:
        name = "nvmlDeviceGetComputeRunningProcesses_v3"
        if not hasattr(self._library, name):
            name = "nvmlDeviceGetComputeRunningProcesses_v2"
        count = ctypes.c_uint(0)
        try:
            self._call(name, device, ctypes.byref(count), None, ignored=_INSUFFICIENT_SIZE)
            count = ctypes.c_uint(count.value + _SPARE)
            found = (_ProcessInfo * count.value)()
            self._call(name, device, ctypes.byref(count), found)
        except NvmlError:
            return {}
        used: dict[int, int] = {}
        for each in found[: count.value]:
            used[each.pid] = used.get(each.pid, 0) + (0 if each.used == _UNKNOWN_BYTES else each.used)
        return used

    def _call(self, name: str, *arguments: object, ignored: int = 0) -> None:
        function = getattr(self._library, name, None)
        if function is None:
            raise NvmlError(f"{name} is not in this version of the library")
        code = function(*arguments)
        if code not in {0, ignored}:
            raise NvmlError(f"{name} returned {code}")


def open_nvml() -> Optional[Nvml]:
    """Return the library, or None on a node without a driver, or with one that does not work."""
    if not any(os.path.exists(sign) for sign in _SIGNS):  # noqa: PTH110 - three look-ups
        return None
    try:
        return Nvml()
    except (OSError, NvmlError) as error:
        logger.warning("no samples of GPUs: %s", error)
        return None
