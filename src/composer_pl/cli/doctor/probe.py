"""torch and the plugins, looked at by a process that may die, hang or be killed.

`ask` starts it and reads one line of JSON; `answer` is what runs in it. There, torch is imported
once, and the device and each plugin are looked at by a fork of their own where there are forks, so
that one that crashes or hangs takes nobody with it.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from composer_pl.cli.doctor.findings import Finding, one_line, size_text

TORCH_SECONDS, DEVICE_SECONDS, PLUGIN_SECONDS = 90.0, 45.0, 15.0

_CODE = """\
import json, sys
job = json.loads(sys.argv[1])
sys.path[:] = job["path"]
from composer_pl.cli.doctor.probe import answer
answer(job["plugins"], job["plugin_seconds"])
"""

Record = dict[str, Any]


def ask(names: Sequence[str]) -> Record:
    """Look at torch, the device and the named conditions in another process.

    Returns:
        `torch`, `device` and `plugins` (a record for each name). A record has `error` where
        something went wrong; `device` and `plugins` are absent where torch cannot be imported.
    """
    job = {"path": sys.path, "plugins": list(names), "plugin_seconds": PLUGIN_SECONDS}
    limit = TORCH_SECONDS + DEVICE_SECONDS + PLUGIN_SECONDS * len(names)
    try:
        ended = subprocess.run(
            [sys.executable, "-c", _CODE, json.dumps(job)],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"torch": {"error": f"its import did not end in {limit:.0f} s"}}
    except OSError as error:
        return {"torch": {"error": f"no process could be started to import it ({error})"}}
    try:
        return json.loads(ended.stdout)
    except ValueError:
        last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
        how = f"signal {-ended.returncode}" if ended.returncode < 0 else f"code {ended.returncode}"
        return {"torch": {"error": one_line(f"its import ended the process ({how}: {last})")}}


def torch_findings(found: Record) -> list[Finding]:
    """The version of torch, or why it cannot be imported."""
    torch = found["torch"]
    if error := torch.get("error"):
        advice = "`pip install --force-reinstall torch`, or make the library that it misses there"
        return [Finding("torch", "broken", f"cannot be imported: {error}", advice)]
    cuda = f"built for CUDA {torch['cuda']}" if torch["cuda"] else "built without CUDA"
    return [Finding("torch", "ok", f"{torch['version']}, {cuda}")]


def device_findings(found: Record) -> list[Finding]:
    """Where models can run."""
    if "device" not in found:
        return [Finding("device", "note", "not looked at, as torch cannot be imported")]
    device, built = found["device"], found["torch"]["cuda"]
    threads = f"CPU with {found['torch']['threads']} threads"
    if device.get("name"):
        text = f"CUDA: {device['name']}, {size_text(device['free'])} free of "
        return [Finding("device", "ok", f"{text}{size_text(device['total'])}; {threads}")]
    error = device.get("error", "")
    if built and device.get("driver"):
        text = f"CUDA cannot be used although there is an NVIDIA driver: {error or 'no reason'}"
        advice = f"update the driver for CUDA {built}, or install a torch built for an older CUDA"
        return [Finding("device", "broken", text, advice)]
    if device.get("mps"):
        return [Finding("device", "ok", f"MPS; {threads}")]
    if device.get("driver"):
        text = f"{threads}; there is an NVIDIA driver, but this torch is built without CUDA"
        return [Finding("device", "note", text, "install torch with CUDA to use the GPU")]
    if error:
        return [Finding("device", "note", f"{threads}; {error}")]
    return [Finding("device", "ok", f"{threads}; no GPU")]


# -- in the other process --------------------------------------------------------------------------


def answer(names: Sequence[str], plugin_seconds: float) -> None:
    """Print the records as JSON; what libraries print goes to standard error."""
    channel = os.dup(1)
    os.dup2(2, 1)
    try:
        found: Record = {"torch": _torch()}
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a missing shared library is an OSError, a bad wheel anything
        found = {"torch": {"error": one_line(f"{type(error).__name__}: {error}")}}
    else:
        found["device"] = _apart(_device, DEVICE_SECONDS)
        with suppress(Exception):  # once, instead of in every fork; they tell what is wrong with it
            importlib.import_module("composer_pl.plugin")
        from composer_pl.cli.doctor.plugin_probe import look

        found["plugins"] = {
            name: _apart(lambda name=name: look(name), plugin_seconds) for name in names
        }
    with os.fdopen(channel, "w") as out:
        out.write(json.dumps(found))


def _torch() -> Record:
    torch = importlib.import_module("torch")
    torch.zeros(2).sum().item()
    return {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }


def _device() -> Record:
    torch = importlib.import_module("torch")
    found: Record = {
        "mps": bool(torch.backends.mps.is_available()),
        "driver": any(
            Path(p).exists() for p in ("/dev/nvidiactl", "/dev/dxg", "/proc/driver/nvidia")
        ),
    }
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            if torch.cuda.is_available():
                (torch.ones(8, device="cuda") + 1).sum().item()  # are there kernels for this GPU?
                free, total = torch.cuda.mem_get_info()
                found |= {"name": torch.cuda.get_device_name(), "free": free, "total": total}
        except Exception as error:
            found["error"] = one_line(str(error).partition("\n")[0])
    if "name" not in found and "error" not in found and caught:
        found["error"] = one_line(str(caught[0].message))
    return found


def _apart(work: Callable[[], Record], seconds: float) -> Record:
    """Run something in a fork and return its record; a crash or a hang becomes an `error`."""
    if not hasattr(os, "fork"):
        return work()
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forking beside torch's idle threads
        child = os.fork()
    if child == 0:
        with suppress(BaseException), os.fdopen(writing, "w") as out:
            out.write(json.dumps(work()))
        os._exit(0)
    os.close(writing)
    text, late = _read_until(reading, time.monotonic() + seconds)
    if late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if late:
        return {"error": f"it did not end in {seconds:.0f} s"}
    try:
        return json.loads(text)
    except ValueError:
        code = os.waitstatus_to_exitcode(status)
        return {
            "error": f"it ended the process ({f'signal {-code}' if code < 0 else f'code {code}'})"
        }


def _read_until(descriptor: int, deadline: float) -> tuple[bytes, bool]:
    """What comes before the other side closes, and whether the deadline came first."""
    import select

    text = b""
    with os.fdopen(descriptor, "rb", buffering=0) as pipe:
        while (left := deadline - time.monotonic()) > 0:
            if select.select([pipe], [], [], left)[0]:
                part = pipe.read(65536)
                if not part:
                    return text, False
                text += part
    return text, True
