"""`composer-pl doctor`: what works on this machine, what does not, and what mends it.

It answers within seconds whatever is broken: this process imports no torch and no plugin, both are
looked at by another one that may die or hang (`probe`), and each check stands in its own try.
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from composer_pl import __version__
from composer_pl.cli.doctor.findings import Finding, one_line

HELP = "Look at this machine: versions, device, disk, cache, plugins and their weights."

_MARKS = {"ok": "ok", "note": "note", "broken": "BROKEN"}

Check = Callable[[], Sequence[Finding]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Print every finding; 1 when something is broken, else 0 (absent weights break nothing)."""
    findings = list(examine())
    broken = sum(finding.state == "broken" for finding in findings)
    if args.json:
        records = [finding.as_record() for finding in findings]
        print(json.dumps({"version": __version__, "broken": broken, "findings": records}, indent=2))
    else:
        _print(findings, broken)
    return 1 if broken else 0


def examine() -> Iterator[Finding]:
    """Look at everything, in the order in which it is told."""
    from composer_pl.cli.doctor import machine, packages, plugins, probe
    from composer_pl.conditions.manifest import discover
    from composer_pl.folders import weights_folder

    try:
        names = [name for name, entry in discover().items() if not entry.problem]
    except Exception:  # told by the check of the plugins
        names = []
    answer = probe.ask(names)
    cache = weights_folder()
    yield from _all(
        ("Python", packages.python),
        ("composer-pl", packages.composer_pl),
        ("torch", lambda: probe.torch_findings(answer)),
        ("torchvision", packages.torchvision),
        ("lightning", packages.lightning),
        ("device", lambda: probe.device_findings(answer)),
        ("CPU", lambda: machine.threads(os.environ.get("OMP_NUM_THREADS"))),
        ("memory", machine.memory),
        ("/dev/shm", machine.shared_memory),
        ("working folder", lambda: machine.working_folder(Path.cwd())),
        ("cache", lambda: machine.cache(cache)),
        ("settings", machine.switches),
        ("plugins", lambda: plugins.plugin_findings(answer)),
        ("shipped models", plugins.shipped_models),
    )


def _all(*checks: tuple[str, Check]) -> Iterator[Finding]:
    for name, check in checks:
        try:
            yield from check()
        except Exception as error:  # on a broken machine anything may fail; the rest still counts
            reason = one_line(f"{type(error).__name__}: {error}")
            yield Finding(name, "broken", f"could not be looked at: {reason}", "mend that first")


def _print(findings: Sequence[Finding], broken: int) -> None:
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        print(f"{_MARKS[finding.state]:<6}  {finding.name:<{width}}  {finding.text}")
        if finding.next_step:
            print(f"{'':<6}  {'':<{width}}  Next: {finding.next_step.rstrip('.')}.")
    print(f"{broken} broken." if broken else "Nothing is broken.")
