"""CPU time and memory of processes, and a description of the machine; Linux only."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """Return the CPU time, user and system, of a process and those that it started, to the nanosecond.

    By the process's CPU clock, whose id is made of the pid (clock_getcpuclockid(3); the kernel's
    include/linux/posix-timers.h): /proc/PID/stat counts the same time in steps of 10 ms.
    """
    clock = (~pid << 3) | 2
    return time.clock_gettime(clock) + sum(map(cpu_seconds, _children(pid)))


def user_seconds(pid: int) -> float:
    """Return how much of that was spent in user mode, in steps of 10 ms."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(user_seconds, _children(pid)))


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    own = 1024 * int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1])
    return own + sum(map(resident_bytes, _children(pid)))


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def describe() -> str:
    """Return the machine in one line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
            break
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    system = f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {system}, Python {platform.python_version()}"
