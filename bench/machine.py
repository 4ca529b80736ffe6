"""The machine that a figure is of, and what a process on it has used. Reads /proc."""

import os
import platform
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def named() -> dict[str, str]:
    """Say on what was measured."""
    cpu = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "model name: unknown")
    memory = next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    return {
        "cpu": cpu.partition(":")[2].strip(),
        "cores": str(os.cpu_count()),
        "memory": f"{int(memory.split()[1]) >> 20} GiB",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load before": f"{os.getloadavg()[0]:.2f}",
    }


def cpu_s(*pids: int) -> float:
    """Return user and system time of the processes, ended threads included."""
    return sum(_cpu_s(pid) for pid in pids)


def resident_kib(pid: int) -> int:
    return _status(pid, "VmRSS")


def peak_kib(pid: int) -> int:
    return _status(pid, "VmHWM")


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _status(pid: int, name: str) -> int:
    return next(int(line.split()[1]) for line in _lines(f"/proc/{pid}/status") if line.startswith(name))


def _lines(path: str) -> list[str]:
    return Path(path).read_text(errors="replace").splitlines()
