"""Memory, disks, the cache folder and the environment; standard library only."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from composer_pl.cli.doctor.findings import Finding, size_text
from composer_pl.errors import nearest

GIB = 2**30
LOW_DISK, NO_DISK = 5 * GIB, 256 * 2**20
LOW_MEMORY = 2 * GIB
LOW_SHARED = GIB

OURS = {
    "COMPOSER_PL_CACHE": "where weights are kept",
    "COMPOSER_PL_ALLOW_DOWNLOADS": "1 lets commands fetch missing weights by themselves",
    "COMPOSER_PL_PLUGINS": "the only conditions that are looked for",
    "COMPOSER_PL_DEBUG": "1 shows tracebacks",
}
THEIRS = {
    "HF_HUB_OFFLINE": "huggingface libraries stay offline",
    "TRANSFORMERS_OFFLINE": "transformers stays offline",
    "CUDA_VISIBLE_DEVICES": "the GPUs that torch may see",
}


def threads(omp: str | None) -> list[Finding]:
    """Processors that this process may use, and how many threads torch will start.

    Args:
        omp: OMP_NUM_THREADS.
    """
    count = usable_processors()
    text = f"{count} of {os.cpu_count()} processors usable, OMP_NUM_THREADS {omp or 'unset'}"
    wanted = int(omp) if omp and omp.isdecimal() else None
    if omp and wanted is None:
        return [Finding("CPU", "note", text, "set OMP_NUM_THREADS to a whole number, or unset it")]
    started = wanted or len(_affinity())
    if started > count:
        text += f"; {started} threads would wait for each other"
        return [Finding("CPU", "note", text, f"`export OMP_NUM_THREADS={count}`")]
    return [Finding("CPU", "ok", text)]


def usable_processors() -> int:
    """Processors after affinity and the quota of a container, at least 1."""
    count = len(_affinity())
    quota = _read("/sys/fs/cgroup/cpu.max").split()
    if len(quota) == 2 and quota[0].isdecimal() and int(quota[1]):
        count = min(count, max(1, int(quota[0]) // int(quota[1])))
    return count


def memory() -> list[Finding]:
    """Memory that is free, after the limit of a container."""
    kib = {}
    for line in _read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if rest.split()[:1] and rest.split()[0].isdecimal():
            kib[name] = int(rest.split()[0]) * 1024
    total, free = kib.get("MemTotal"), kib.get("MemAvailable")
    if total is None or free is None:
        try:
            total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        except (AttributeError, ValueError, OSError):
            return [Finding("memory", "note", "unknown on this system")]
        return [Finding("memory", "ok", f"{size_text(total)} in all")]
    limit = _read("/sys/fs/cgroup/memory.max").strip()
    if limit.isdecimal() and int(limit) < total:
        used = _read("/sys/fs/cgroup/memory.current").strip()
        total = int(limit)
        free = min(free, total - (int(used) if used.isdecimal() else 0))
    text = f"{size_text(free)} free of {size_text(total)}"
    if free < LOW_MEMORY:
        advice = "close other programs, or lower data.batch_size and data.num_workers"
        return [Finding("memory", "note", text, advice)]
    return [Finding("memory", "ok", text)]


def shared_memory(folder: str = "/dev/shm") -> list[Finding]:
    """Where data workers hand pictures over; containers often get 64 MiB."""
    if not os.path.isdir(folder):
        return []
    total = shutil.disk_usage(folder).total
    if total >= LOW_SHARED:
        return [Finding("/dev/shm", "ok", size_text(total))]
    text = f"{size_text(total)}, which is little for data workers"
    advice = "start the container with `--shm-size=2g`, or train with --data.num_workers 0"
    return [Finding("/dev/shm", "note", text, advice)]


def working_folder(folder: Path) -> list[Finding]:
    """Free space where runs are written, and whether they can be."""
    name = "working folder"
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "work elsewhere, or give --out and --trainer.default_root_dir"
        return [Finding(name, "note", f"{folder} may not be written to", advice)]
    advice = "free space, or write elsewhere with --out and --trainer.default_root_dir"
    return [_space(name, folder, str(folder), advice)]


def cache(folder: Path) -> list[Finding]:
    """The folder of downloaded weights: can it be made and written to, and is there space?"""
    advice = "correct its permissions, or name another folder in COMPOSER_PL_CACHE"
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return [Finding("cache", "broken", f"{folder}: {existing} is a file", advice)]
    text = str(folder)
    if existing == folder:
        files = [path for path in folder.iterdir() if path.is_file()]
        text += f": {len(files)} files, {size_text(sum(path.stat().st_size for path in files))}"
    else:
        text += ": made when weights are fetched"
    space = _space("cache", existing, text, "free space, or set COMPOSER_PL_CACHE")
    if space.state == "broken":
        return [space]
    if problem := _write_problem(existing):
        return [Finding("cache", "broken", f"{text}; {existing}: {problem}", advice)]
    return [space]


def switches(environment: Mapping[str, str] | None = None) -> list[Finding]:
    """Environment variables that change what happens, and ours that are misspelt."""
    given = os.environ if environment is None else environment
    findings = [
        Finding(name, "ok", f"{given[name]!r}: {meaning}")
        for name, meaning in {**OURS, **THEIRS}.items()
        if given.get(name)
    ]
    for name in ("COMPOSER_PL_ALLOW_DOWNLOADS", "COMPOSER_PL_DEBUG"):
        if (value := given.get(name)) and value not in ("0", "1"):
            findings = [finding for finding in findings if finding.name != name]
            text = f"{value!r} is taken for no"
            findings.append(Finding(name, "note", text, f"set {name}=1, or unset it"))
    for name in sorted(given):
        if name.startswith("COMPOSER_PL_") and name not in OURS and "_TEST_" not in name:
            text = f"nothing reads this variable{nearest(name, OURS)}"
            findings.append(Finding(name, "note", text, "correct or unset it"))
    return findings or [Finding("settings", "ok", "no environment variable changes anything")]


def _space(name: str, folder: Path, text: str, advice: str) -> Finding:
    free = shutil.disk_usage(folder).free
    text = f"{text}, {size_text(free)} free on its disk"
    if free < NO_DISK:
        return Finding(name, "broken", text, advice)
    return Finding(name, "note" if free < LOW_DISK else "ok", text, advice * (free < LOW_DISK))


def _write_problem(folder: Path) -> str:
    """Why nothing can be written to a folder; permissions alone do not tell it of every disk."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return "may not be written to"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0" * 4096)
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def _affinity() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (OSError, UnicodeDecodeError):
        return ""
