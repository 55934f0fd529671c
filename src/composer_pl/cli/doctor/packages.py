"""Versions, from package metadata alone: nothing is imported."""

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from composer_pl.cli.doctor.findings import Finding

MALICIOUS = ("2.6.2", "2.6.3")
"""Releases of lightning that somebody else uploaded; they steal credentials."""

_OFFSET = 15  # torchvision 0.(N + 15) was made with torch 2.N, as long as it pinned torch


def python() -> list[Finding]:
    """The interpreter against what composer-pl asks for."""
    found = platform.python_version()
    wanted = metadata("composer-pl").json.get("requires_python") or ""
    text = f"{found} at {sys.executable}"
    if SpecifierSet(str(wanted)).contains(found, prereleases=True):
        return [Finding("Python", "ok", text)]
    advice = f"make an environment with Python {wanted}"
    return [Finding("Python", "broken", f"{text}; {wanted} is required", advice)]


def composer_pl() -> list[Finding]:
    """The version, and whether the libraries that it asks for are there in the right versions."""
    found = version("composer-pl")
    if lacking := unmet("composer-pl"):
        wanted = " ".join(f"'{requirement}'" for requirement, _ in lacking)
        text = f"{found}, but {'; '.join(problem for _, problem in lacking)}"
        return [Finding("composer-pl", "broken", text, f"`pip install {wanted}`")]
    return [Finding("composer-pl", "ok", found)]


def lightning() -> list[Finding]:
    """The version of lightning; two releases were malicious."""
    findings = []
    for name in ("lightning", "pytorch-lightning"):
        found = version_of(name)
        if found in MALICIOUS:
            text = f"{found} is a malicious upload that runs foreign code when imported"
            advice = (
                f"`pip uninstall {name}`, `pip install 'lightning>=2.6.6,<2.7'`, and change the "
                f"passwords and tokens that this machine holds"
            )
            findings.append(Finding(name, "broken", text, advice))
        elif name == "lightning":
            findings.append(_present(name, found, "training"))
    return findings


def torchvision() -> list[Finding]:
    """Whether torchvision is the one that was made for the installed torch."""
    found, torch = version_of("torchvision"), version_of("torch")
    if found is None:
        return [Finding("torchvision", "ok", "not installed; only some plugins need it")]
    if torch is None:
        return [Finding("torchvision", "note", f"{found}, but torch is not installed")]
    problem = mismatch(torch, found, _asked_of_torch())
    if not problem:
        return [Finding("torchvision", "ok", f"{found}, a match for torch {torch}")]
    advice = f"`pip install --upgrade torch=={Version(torch).public} torchvision`"
    return [Finding("torchvision", "broken", f"{found}: {problem}", advice)]


def mismatch(torch: str, torchvision: str, asked: str) -> str:
    """Why the two do not belong together, or an empty string.

    Args:
        torch: Installed version.
        torchvision: Installed version.
        asked: What torchvision's metadata asks of torch, such as `==2.12.1`; empty when nothing.
    """
    ours, theirs = Version(torch), Version(torchvision)
    if asked:
        # Nightlies and local builds (+cpu) count by their number.
        if not SpecifierSet(asked).contains(ours.base_version):
            return f"it asks for torch {asked}, found {torch}"
    elif (ours.major, ours.minor + _OFFSET) != (2, theirs.minor) or theirs.major:
        return f"it was made with torch 2.{theirs.minor - _OFFSET}, found {torch}"
    builds = {v.local for v in (ours, theirs) if v.local}
    if len(builds) > 1:
        return f"it is another build than torch {torch}"
    return ""


def unmet(distribution: str) -> list[tuple[str, str]]:
    """What a package requires and this environment lacks, as (requirement, what is wrong)."""
    problems = []
    for text in requires(distribution) or []:
        needed = Requirement(text)
        if needed.marker is not None and not needed.marker.evaluate({"extra": ""}):
            continue
        found = version_of(needed.name)
        asked = f"{needed.name}{needed.specifier}"
        if found is None:
            problems.append((asked, f"{needed.name} is not installed"))
        elif not needed.specifier.contains(Version(found).base_version, prereleases=True):
            problems.append((asked, f"{needed.name} is {found} instead of {needed.specifier}"))
    return problems


def version_of(name: str) -> str | None:
    """The installed version of a package, or None; damaged metadata counts as none."""
    try:
        return version(name) or None
    except (PackageNotFoundError, KeyError, TypeError):
        return None


def _asked_of_torch() -> str:
    for text in requires("torchvision") or []:
        if re.match(r"torch(?![\w.-])", text):
            return str(Requirement(text).specifier)
    return ""


def _present(name: str, found: str | None, purpose: str) -> Finding:
    if found is not None:
        return Finding(name, "ok", found)
    return Finding(name, "broken", f"not installed; {purpose} needs it", f"`pip install {name}`")
