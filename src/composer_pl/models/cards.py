"""The card of a model folder: a README.md that says what lies there, as the Hub reads it.

It is made of the description alone, so the same folder always gives the same card: no dates, no
names of machines. A README.md that a person wrote is never replaced.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from composer_pl.conditions.manifest import installed_version
from composer_pl.models.description import kind_of
from composer_pl.models.licences import Part, parts_of

CARD = "README.md"
MARK = "<!-- composer-pl writes this card anew with the model; drop this line to keep yours. -->"
"""A card without this line is a person's own."""

HUB_LICENSES = {
    **{name.lower(): name.lower() for name in ("Apache-2.0", "MIT", "ISC", "CC0-1.0", "CC-BY-4.0")},
    **{name.lower(): name.lower() for name in ("BSD-2-Clause", "BSD-3-Clause", "Unlicense")},
    **{f"agpl-3.0{end}": "agpl-3.0" for end in ("", "-only", "-or-later")},
    **{f"gpl-3.0{end}": "gpl-3.0" for end in ("", "-only", "-or-later")},
}
"""SPDX identifiers in lower case -> what the Hub calls them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """What no description of a model holds: only who trained it can say it.

    Attributes:
        license: SPDX identifier of the licence that its trainer gives the weights; empty where
            nobody stated one.
        training: Facts of the training in the order of the card, such as `{"steps": "1,385",
            "data": "procedural scenes"}`.
    """

    license: str = ""
    training: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As `config.json` keeps them; what is not known is left out."""
        found = {"license": self.license, "training": dict(self.training)}
        return {key: value for key, value in found.items() if value}

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> "ModelFacts":
        """Read them from `config.json`; what is of another type than written is left out."""
        license, training = config.get("license"), config.get("training")
        return cls(
            license=license if isinstance(license, str) else "",
            training={str(key): str(value) for key, value in training.items()}
            if isinstance(training, dict)
            else {},
        )


def is_own(path: Path) -> bool:
    """Whether a card may be replaced: there is none, or `model_card` wrote it."""
    try:
        return MARK in path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return True


def model_card(description: Mapping[str, Any], *, parameters: int, facts: ModelFacts) -> str:
    """Write the card of a model.

    Args:
        description: What its `describe()` answers; its plugins must be installed.
        parameters: Numbers in its weights.
        facts: What its trainer states.

    Returns:
        Markdown with the Hub's YAML head.
    """
    kind = kind_of(description)
    parts = parts_of(description)
    sections = [
        _head(description, kind, parts, facts),
        f"{MARK}\n\n# Composer: {_TITLES.get(kind, kind)}",
        _what(description, kind, parameters),
        _conditions(description),
        _use(description, kind),
        _licences(parts, facts),
        _training(facts),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


_TITLES = {"base": "base model", "upsampler": "upsampler", "prior": "prior"}
_WHAT = {
    "base": "It draws pictures of {side} x {side} px under any subset of its conditions.",
    "upsampler": "It enlarges pictures to {side} x {side} px, {factor} times the side.",
    "prior": "It predicts the image embedding `{image}` that fits a caption (`{text}`).",
}
_LOAD = {
    "base": "Composer.from_pretrained(HERE)",
    "upsampler": 'Composer.from_pretrained("BASE", upsampler=HERE)  # BASE: a model that it fits',
}


def _head(description: Mapping[str, Any], kind: str, parts: list[Part], facts: ModelFacts) -> str:
    """The YAML head: licence, task and tags. Every value is one of our own words."""
    given = {entry["plugin"] for entry in description.get("conditions", {}).values()}
    lines = [f"license: {_hub_license(parts, facts)}"]
    if lines[0].endswith(" other"):
        lines += ["license_name: mixed", f"license_link: {CARD}"]
    lines.append("library_name: composer-pl")
    if kind == "base":
        task = "text-to-image" if "caption" in given else "unconditional-image-generation"
        lines.append(f"pipeline_tag: {task}")
    elif kind == "upsampler":
        lines.append("pipeline_tag: image-to-image")
    lines += ["tags:", "- composer", "- diffusion", "- safetensors"]
    return "\n".join(["---", *lines, "---"])


def _hub_license(parts: list[Part], facts: ModelFacts) -> str:
    """The Hub's word for the licence of the whole: `other` where a part asks for more."""
    if any(part.terms != "free" and part.license != facts.license for part in parts):
        return "other"
    if not facts.license:
        return "unknown"
    return HUB_LICENSES.get(facts.license.lower(), "other")


def _what(description: Mapping[str, Any], kind: str, parameters: int) -> str:
    backbone, process = description.get("backbone", {}), description.get("process", {})
    words = {
        "side": backbone.get("resolution", "?"),
        "factor": description.get("upsampling", {}).get("factor", "?"),
        "text": description.get("text", "?"),
        "image": description.get("image", "?"),
    }
    purpose = _WHAT.get(kind, "").format(**words)
    rows = [
        ("parameters", f"{parameters:,}"),
        ("predicts", process.get("prediction", "?")),
        ("noise schedule", process.get("schedule", "?")),
        ("files", "`model.safetensors`, `config.json`; loading runs no code from this folder"),
        ("written by", f"composer-pl {installed_version()}"),
    ]
    table = _table(("", ""), rows)
    return f"{purpose}\n\n{table}" if purpose else table


def _conditions(description: Mapping[str, Any]) -> str:
    entries = description.get("conditions", {})
    if not entries:
        return "## Conditions\n\nNone."
    rows = [
        (f"`{name}`", f"{entry['distribution']} {entry['version']}", _settings(entry["init_args"]))
        for name, entry in entries.items()
    ]
    return "## Conditions\n\n" + _table(("condition", "package", "settings"), rows)


def _settings(arguments: Mapping[str, Any]) -> str:
    """The settings of a condition that say what it reads; numbers are in `config.json`."""
    return ", ".join(
        f"{name} `{value}`" for name, value in arguments.items() if isinstance(value, str)
    )


def _use(description: Mapping[str, Any], kind: str) -> str:
    entries = description.get("conditions", {}).values()
    packages = ["composer-pl", *sorted({_shell(entry["distribution"]) for entry in entries})]
    lines = ["## Use", "", "```sh", f"pip install {' '.join(packages)}", "```"]
    if kind in _LOAD:
        lines += ["", "HERE is this folder, or its name on the Hub (`owner/name`).", ""]
        lines += ["```python", "from composer_pl.composing.composer import Composer", ""]
        lines += [f"composer = {_LOAD[kind]}"]
        lines += ['parts = composer.decompose("photo.png")']
        lines += ["composer.compose(parts, n=4, seed=0)", "```"]
    return "\n".join(lines)


def _licences(parts: list[Part], facts: ModelFacts) -> str:
    stated = (
        f"The weights here: {_cell(facts.license)}, as their trainer states."
        if facts.license
        else "**Nobody stated a licence of the weights here.** Ask who trained them before use."
    )
    rows = [
        (
            f"{part.name} {part.version}".strip(),
            part.license or "none stated",
            ", ".join(part.conditions),
            part.origin or "package",
        )
        for part in parts
    ]
    blocks = ["## Licences", stated]
    if rows:
        blocks.append("What its conditions are made of:")
        blocks.append(_table(("part", "licence", "used by", "origin"), rows))
    warnings = [_warning(part) for part in parts if part.terms != "free"]
    if warnings and facts.license:
        warnings.append("So the licence of the weights alone does not cover every use of them.")
    return "\n\n".join([*blocks, *warnings])


def _warning(part: Part) -> str:
    """What a licence that is not free means for who uses the model."""
    name, conditions = _cell(part.name), " and ".join(f"`{name}`" for name in part.conditions)
    license = _cell(part.license) or "no stated licence"
    made = f"Extracting {conditions} reads it"
    if part.role == "package":
        made = f"Loading this model imports it for {conditions}"
    if part.terms == "copyleft":
        duty = "who passes on or serves something built on it takes on that licence's duties"
        return f"**Copyleft:** {name} is under {license}. {made}; {duty}."
    return (
        f"**Not free for every use:** {name} is under {license}. {made}; whether weights trained "
        f"on what it answers fall under its terms is for you to judge."
    )


def _training(facts: ModelFacts) -> str:
    if not facts.training:
        return "## Training\n\nNot recorded. No measurement is recorded either."
    return "## Training\n\n" + _table(("", ""), list(facts.training.items()))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(str(cell)) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    """A text on one line that neither ends a cell nor opens a tag, whoever wrote it."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;").strip()


def _shell(name: str) -> str:
    """A package's name as it may stand in a command; what is none is left out of it."""
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) else ""
