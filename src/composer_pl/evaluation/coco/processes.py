"""Several processes on one machine that share the blocks of a run."""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch
from safetensors import SafetensorError

from composer_pl.errors import ComposerPLError, UserInputError
from composer_pl.evaluation.coco.blocks import Shard
from composer_pl.evaluation.coco.run import CocoRun, on_device
from composer_pl.evaluation.coco.settings import CocoSettings
from composer_pl.files import disk_trouble

_LOOK = 0.5  # seconds between two looks at the processes
_TELL = 5.0  # seconds between two looks at the disk, which may be far away
MOST_PROCESSES = 256


def check_processes(processes: int) -> None:
    """Refuse a number of processes that cannot be.

    Raises:
        UserInputError: It is out of range.
    """
    if not 1 <= processes <= MOST_PROCESSES:
        raise UserInputError(
            f"Sharing the work: expected 1 to {MOST_PROCESSES} processes, found {processes}. "
            f"Next: correct --processes."
        )


def work_in_processes(
    run: CocoRun, processes: int, progress: Callable[[int, int], None] | None = None
) -> None:
    """Do the work of a run in processes of their own; each loads the model.

    With several GPUs and the device `cuda` each process takes one in turn. The threads that this
    process may use are shared among them; pictures are those of one process with as many threads,
    bit for bit, and of one with more threads up to rounding.

    Args:
        run: Begun.
        processes: How many.
        progress: Called with (finished blocks, all blocks), by what lies on the disk.

    Raises:
        UserInputError: The number is out of range, or a process could not go on; its reason is
            told.
    """
    check_processes(processes)
    if processes == 1:
        return run.work(progress=progress)
    context = multiprocessing.get_context("spawn")
    threads = max(1, torch.get_num_threads() // processes)
    workers: list[tuple[BaseProcess, Connection]] = []
    for index in range(processes):
        here, there = context.Pipe(duplex=False)
        settings = on_device(run.settings, _device(run.settings.device, index))
        process = context.Process(
            target=_work, args=(settings, Shard(index, processes), threads, there), daemon=True
        )
        process.start()
        there.close()
        workers.append((process, here))
    told_at = time.monotonic()
    try:
        while any(process.is_alive() for process, _ in workers):
            if any(process.exitcode not in (None, 0) for process, _ in workers):
                break
            if progress is not None and time.monotonic() >= told_at:
                progress(*run.done())
                told_at = time.monotonic() + _TELL
            time.sleep(_LOOK)
        for process, told in workers:
            if process.exitcode not in (None, 0):
                raise UserInputError(_reason(process, told))
    finally:
        for process, told in workers:
            process.terminate()
            process.join()
            told.close()
    if progress is not None:
        progress(*run.done())


def _work(settings: CocoSettings, shard: Shard, threads: int, told: Connection) -> None:
    """In the process of its own: load, and work until done or until the parent is gone."""
    torch.set_num_threads(threads)
    parent = multiprocessing.parent_process()

    def look(done: int, total: int) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit(1)  # killed without a chance to end us

    try:
        CocoRun(settings).work(shard, look)
    except ComposerPLError as error:
        told.send(str(error))
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except (OSError, SafetensorError) as error:
        reason = disk_trouble(error) or getattr(error, "strerror", None) or str(error)
        told.send(
            f"Writing to the folder {settings.out!r}: expected one that can be written to, found: "
            f"{reason}. Next: mend that and give the command again, which goes on where it was."
        )
        raise SystemExit(2) from None


def _device(device: str, index: int) -> str:
    if device != "cuda" or not torch.cuda.is_available():
        return device
    return f"cuda:{index % torch.cuda.device_count()}"


def _reason(process: BaseProcess, told: Connection) -> str:
    """What a process said before it ended, or how it ended."""
    if told.poll():
        try:
            return told.recv()
        except EOFError:
            pass
    return (
        f"Sharing the work: expected every process to finish, found one that ended with code "
        f"{process.exitcode}. Next: give the command again, which goes on where it was; with fewer "
        f"processes if memory ran out."
    )
