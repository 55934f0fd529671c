"""Whose licences a model carries: its packages, and the weights that its extractors read.

Told, not judged: whether weights that learned from a network's output fall under that network's
terms is a question for the reader. What is unknown counts as not free.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from composer_pl.conditions.discovery import rebuild
from composer_pl.conditions.manifest import discover

Terms = Literal["free", "copyleft", "other"]
"""`free`: any use, at most with attribution. `copyleft`: any use, with duties for what is built on
it. `other`: research only, further terms, or unknown."""

FREE = frozenset(
    {
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-4.0", "CC0-1.0"),
        *("HPND", "ISC", "MIT", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
    }
)
"""SPDX identifiers of licences that ask for attribution at most."""

_COPYLEFT = re.compile(r"(AGPL|GPL|LGPL|MPL|EUPL|OSL|CC-BY-SA)-[\w.-]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One thing that a model needs, with its licence.

    Attributes:
        role: A package of code, or a file of weights.
        name: Name of the package or file.
        version: Version of the package; empty for weights.
        license: SPDX expression or the terms in short; empty when none are stated.
        origin: Who made it; empty for packages.
        conditions: Those of the model that use it.
    """

    role: Literal["package", "weights"]
    name: str
    version: str = ""
    license: str
    origin: str = ""
    conditions: tuple[str, ...]

    @property
    def terms(self) -> Terms:
        """What the licence allows."""
        return terms(self.license)


def terms(license: str) -> Terms:
    """Sort an SPDX expression, or any text, by what it allows.

    Of alternatives (`OR`) the freest counts, of parts (`AND`) the strictest. A text that is no
    expression of known licences is `other`.
    """
    order: tuple[Terms, ...] = ("free", "copyleft", "other")
    ranks = [
        max(_rank(one.strip(" ()")) for one in re.split(r"\s+AND\s+", alternative))
        for alternative in re.split(r"\s+OR\s+", license)
    ]
    return order[min(ranks)]


def _rank(identifier: str) -> int:
    if identifier in FREE:
        return 0
    return 1 if _COPYLEFT.fullmatch(identifier) else 2


def parts_of(description: Mapping[str, Any]) -> list[Part]:
    """The packages of a model's conditions and the weights that their extractors read.

    Args:
        description: What `describe()` of a model answers. Where a plugin is not installed, its
            licence and weights are unknown.

    Returns:
        Packages by name, then weights by name.
    """
    installed = discover(restricted=False)
    packages: dict[str, Part] = {}
    weights: dict[str, Part] = {}
    for name, entry in sorted(description.get("conditions", {}).items()):
        found = installed.get(entry["plugin"])
        package = Part(
            role="package",
            name=entry["distribution"],
            version=entry["version"],
            license=found.license if found is not None else "",
            conditions=(name,),
        )
        _add(packages, package)
        for one in _weights(name, entry):
            _add(weights, one)
    return [found[name] for found in (packages, weights) for name in sorted(found)]


def _weights(name: str, entry: dict[str, Any]) -> list[Part]:
    """The weights that one condition reads; a plugin that cannot say so spoils no model."""
    try:
        specs = rebuild(entry).weights_in_use()
    except Exception as error:
        reason = f"not told by its plugin ({type(error).__name__}: {error})"
        unknown = f"weights of {name}"
        return [Part(role="weights", name=unknown, license="", origin=reason, conditions=(name,))]
    return [
        Part(
            role="weights",
            name=spec.name,
            license=spec.license,
            origin=spec.origin,
            conditions=(name,),
        )
        for spec in specs
    ]


def _add(found: dict[str, Part], part: Part) -> None:
    """Add a part, or its condition to the part of that name."""
    known = found.get(part.name)
    conditions = part.conditions if known is None else known.conditions + part.conditions
    found[part.name] = Part(
        role=part.role,
        name=part.name,
        version=part.version,
        license=part.license,
        origin=part.origin,
        conditions=conditions,
    )
