"""Package metadata as the manifest of installed conditions. Imports nothing of them, nor torch.

The entry-point group is `composer_pl.conditions`; the name is the customary key of the condition in
a configuration, the value is the plugin class. The environment variable `COMPOSER_PL_PLUGINS`
(`none`, or names separated by commas) restricts what is found.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions, version

GROUP = "composer_pl.conditions"
ENVIRONMENT = "COMPOSER_PL_PLUGINS"


@dataclass(frozen=True, kw_only=True, slots=True)
class PluginEntry:
    """One claim of one distribution to provide one condition, read from metadata alone.

    Attributes:
        name: Entry-point name.
        distribution: Name of the package.
        version: Version of the package.
        license: Its licence expression, or the older free text, or what its classifiers say; empty
            when it states none.
        requires: The range of composer-pl versions that it asks for; empty means any.
        reference: `module:Class`.
        rivals: Other distributions that claim the same name.
    """

    name: str
    distribution: str
    version: str
    license: str
    requires: str
    reference: str
    rivals: tuple[str, ...] = ()

    @property
    def problem(self) -> str:
        """Why it cannot be used, as far as metadata tells; empty when it can."""
        if self.rivals:
            return f"also claimed by {', '.join(self.rivals)}"
        if not self.name.isidentifier():
            return "the name is no Python identifier"
        if not fits(self.requires, installed_version()):
            return f"requires composer-pl {self.requires}, found {installed_version()}"
        return ""


def installed_version() -> str:
    """Version of the installed composer-pl."""
    return version("composer-pl")


def discover(*, restricted: bool = True) -> dict[str, PluginEntry]:
    """Find all installed conditions, sorted by name. Imports nothing of them.

    Where several distributions claim one name, the entry names the others in `rivals`; using it
    raises.

    Args:
        restricted: Heed the environment variable `COMPOSER_PL_PLUGINS`.
    """
    wanted = _wanted() if restricted else None
    claims: dict[str, dict[str, PluginEntry]] = {}
    for distribution in distributions():
        for point in _entry_points(distribution):
            if wanted is None or point.name in wanted:
                entry = _entry(distribution, point)
                # The first on sys.path wins, as for imports.
                claims.setdefault(entry.name, {}).setdefault(canonical(entry.distribution), entry)
    found = {}
    for name in sorted(claims):
        first, *others = sorted(claims[name].values(), key=lambda entry: entry.distribution)
        rivals = tuple(other.distribution for other in others)
        found[name] = PluginEntry(
            name=name,
            distribution=first.distribution,
            version=first.version,
            license=first.license,
            requires=first.requires,
            reference=first.reference,
            rivals=rivals,
        )
    return found


def fits(requires: str, installed: str) -> bool:
    """Whether a version lies in a range such as `<0.2,>=0.1`; an unreadable range fits.

    Pre-releases count by their number: 0.2.0.dev1 fits `>=0.2`.
    """
    if not requires:
        return True
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import Version

    try:
        return SpecifierSet(requires).contains(Version(installed).base_version)
    except InvalidSpecifier:  # a direct reference to an address, for instance
        return True


def canonical(name: str) -> str:
    """The name of a package as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _wanted() -> set[str] | None:
    """Names that the environment allows, or None for all."""
    text = os.environ.get(ENVIRONMENT)
    if text is None or not text.strip():
        return None
    names = {name.strip() for name in text.split(",")}
    return names - {"none", ""}


def _entry_points(distribution: Distribution) -> Iterator[EntryPoint]:
    """The entry points of our group; damaged metadata of a stranger counts as none."""
    try:
        text = distribution.read_text("entry_points.txt")
        if text and GROUP in text:  # most packages have none: parsing them all would cost
            yield from (point for point in distribution.entry_points if point.group == GROUP)
    except Exception:
        return


def _entry(distribution: Distribution, point: EntryPoint) -> PluginEntry:
    try:
        metadata = distribution.metadata.json  # a plain dict, whose keys are lower case
    except Exception:  # damaged: the name is listed, and what is unknown of it says so
        metadata = {}
    license_text = metadata.get("license_expression") or metadata.get("license") or ""
    if not license_text:  # "License :: OSI Approved :: MIT License", all that older tools write
        stated = (text.split(" :: ") for text in metadata.get("classifier") or [])
        license_text = ", ".join(words[-1] for words in stated if words[0] == "License")
    requires = ""
    for requirement in metadata.get("requires_dist") or []:
        needed, _, marker = requirement.partition(";")
        match = re.match(r"([A-Za-z0-9._-]+)\s*(?:\[[^]]*\])?\s*\(?([^)]*)\)?", needed)
        if match and canonical(match[1]) == "composer-pl" and "extra" not in marker:
            requires = match[2].strip()
    return PluginEntry(
        name=point.name,
        distribution=str(metadata.get("name") or "unknown"),
        version=str(metadata.get("version") or "unknown"),
        license=str(license_text).strip().partition("\n")[0],
        requires=requires,
        reference=point.value,
    )
