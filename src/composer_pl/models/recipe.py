"""The one sampling recipe of previews, command line, Python and evaluation, as data.

A recipe is read from YAML, merged with dotted overrides, and written back as plain data, so that
every picture can carry the one that made it.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NoReturn

from composer_pl.errors import UserInputError, nearest

DOING = "Setting the sampling recipe"
MOST_WEIGHT = 1000
"""Largest size of a weight: beyond it lie slips of the keyboard, and then numbers that overflow."""


@dataclass(frozen=True, kw_only=True)
class ConditionGuidance:
    """How much one condition counts, when and where.

    With a weight of s at a pixel, the estimate of the noise is taken `s` of the way from that
    without the condition to that with it; several such conditions multiply. So 0 is exactly as if
    it were absent, 1 is plain, and more goes beyond.

    Attributes:
        weight: The s above, in -1000..1000.
        start: Share of the walk from noise (0) to picture (1) from which the condition is kept.
        end: Share up to which it is kept; outside it is dropped from both sets.
        region: Where it counts; elsewhere it is as if absent. A picture file (white counts, black
            does not), such a picture as `data:` text, or a box "top,left,bottom,right" in shares of
            the sides. Empty is everywhere.
    """

    weight: float = 1.0
    start: float = 0.0
    end: float = 1.0
    region: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be.

        Raises:
            UserInputError: A setting is out of its range.
        """
        _check_weight("the weight of a condition", self.weight)
        _check_window("a condition", self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class SamplingRecipe:
    """How pictures are drawn from a model.

    Attributes:
        sampler: `dpmpp_2m` (DPM-Solver++(2M), uniform log-SNR spacing) or `ddim`.
        steps: Network evaluations, each of two branches when guided.
        guidance: w of eps = w eps(c2) + (1 - w) eps(c1); 1 means no guidance (paper: 3.0 on COCO);
            in -1000..1000.
        guidance_start: Share of the walk from noise (0) to picture (1) from which guidance acts.
        guidance_end: Share up to which it acts; outside w is 1.
        eta: Noise of DDIM: 0 deterministic, 1 as noisy as ancestral sampling.
        clip_x_0: Clamp each step's estimate of x_0 to [-1, 1].
        threshold: Dynamic thresholding at this percentile, in (0, 1], instead of the clamp (Imagen;
            the lab's own solver: 0.995); None clamps.
        rescale: Share in 0..1 by which guidance keeps the spread of the unguided answer.
        conditions: How much single conditions count, by name; those left out count plainly.
        max_batch: Most pictures run through the network at once.
    """

    sampler: Literal["dpmpp_2m", "ddim"] = "dpmpp_2m"
    steps: int = 25
    guidance: float = 3.0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    eta: float = 0.0
    clip_x_0: bool = True
    threshold: float | None = None
    rescale: float = 0.0
    conditions: dict[str, ConditionGuidance] = field(default_factory=dict)
    max_batch: int = 16

    def __post_init__(self) -> None:
        """Refuse what no sampler can do.

        Raises:
            UserInputError: A setting is out of its range.
        """
        if not 1 <= self.steps <= 1000:
            _refuse(f"steps must be in 1..1000, found {self.steps}")
        _check_weight("guidance", self.guidance)
        _check_window("guidance", self.guidance_start, self.guidance_end)
        if not 0 <= self.eta <= 1:
            _refuse(f"eta must be in 0..1, found {self.eta}")
        if self.eta and self.sampler != "ddim":
            _refuse(f"eta needs sampler ddim, found eta {self.eta} with {self.sampler}")
        if self.threshold is not None and not 0 < self.threshold <= 1:
            _refuse(f"threshold must be a percentile above 0, at most 1, found {self.threshold}")
        if not 0 <= self.rescale <= 1:
            _refuse(f"rescale must be in 0..1, found {self.rescale}")
        if self.max_batch < 1:
            _refuse(f"max_batch must be at least 1, found {self.max_batch}")


# -- as plain data ---------------------------------------------------------------------------------


def recipe_to_dict(recipe: SamplingRecipe) -> dict[str, Any]:
    """A recipe as data that JSON and YAML can hold; `recipe_from_dict` reads it back."""
    return asdict(recipe)


def recipe_from_dict(data: Mapping[str, Any]) -> SamplingRecipe:
    """A recipe from data; what is left out keeps its default.

    Raises:
        UserInputError: A key is unknown, or a value of another type or out of its range.
    """
    entries = dict(_checked(data, SamplingRecipe, ""))
    conditions = entries.pop("conditions", None) or {}
    if not isinstance(conditions, Mapping):
        _refuse(f"conditions must be a mapping from name to settings, found {conditions!r}")
    own = {
        str(name): ConditionGuidance(
            **_checked(
                entry if isinstance(entry, Mapping) else {"weight": entry},
                ConditionGuidance,
                f"conditions.{name}.",
            )
        )
        for name, entry in conditions.items()
    }
    if entries.get("sampler", "ddim") not in ("dpmpp_2m", "ddim"):
        _refuse(f"sampler must be dpmpp_2m or ddim, found {entries['sampler']!r}")
    return SamplingRecipe(**entries, conditions=own)


def load_recipe(
    path: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    base: SamplingRecipe | None = None,
) -> SamplingRecipe:
    """Read a recipe from a YAML file and override single settings.

    Args:
        path: The file; None begins with `base`.
        overrides: Texts such as `guidance=4`, `conditions.sketch.weight=0.5` or, for the weight
            alone, `conditions.sketch=0.5`; the last one wins.
        base: What file and overrides change; None is the default recipe.

    Raises:
        UserInputError: The file is absent or no mapping, or a setting is wrong.
    """
    from omegaconf import OmegaConf

    merged = OmegaConf.create(recipe_to_dict(base or SamplingRecipe()))
    if path is not None:
        with _readable(
            f"Reading a sampling recipe from {str(path)!r}",
            "a YAML file of settings",
            "correct the path or the file",
        ):
            read = OmegaConf.load(path)
            OmegaConf.resolve(read)
            merged = OmegaConf.merge(merged, _weights_named(OmegaConf.to_container(read)))
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            _refuse(f"expected NAME=VALUE, such as guidance=4, found {text!r}")
        key = key.strip()
        if re.fullmatch(r"conditions\.[^.]+", key):
            key += ".weight"
        shown = text if len(text) < 80 else text[:77] + "..."
        with _readable(
            f"Setting the sampling recipe by --with {shown!r}",
            "NAME=VALUE with a value that YAML can hold",
            "correct it",
        ):
            given = OmegaConf.from_dotlist([f"{key}={value}"])
            _weights_named(OmegaConf.to_container(given))
            merged = OmegaConf.merge(merged, given)
    data = OmegaConf.to_container(merged)
    assert isinstance(data, dict)
    return recipe_from_dict({str(key): value for key, value in data.items()})


@contextmanager
def _readable(doing: str, expected: str, advice: str) -> Iterator[None]:
    """What goes wrong while something is read and merged, as one line."""
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except UserInputError:
        raise
    # OmegaConf refuses containers and keys that do not fit by errors of Python's own as well.
    except (OSError, YAMLError, OmegaConfBaseException, TypeError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserInputError(
            f"{doing}: expected {expected}, found none that can be read ({reason}). Next: {advice}."
        ) from error


def _weights_named(data: Any) -> Any:
    """`sketch: 0.5` below `conditions` means its weight."""
    if not isinstance(data, dict):
        _refuse(f"expected a mapping from setting to value, found {type(data).__name__}")
    conditions = data.get("conditions")
    if conditions is None:
        return data
    if not isinstance(conditions, dict):
        _refuse(f"conditions must be a mapping from name to settings, found {conditions!r}")
    named = {
        name: entry if isinstance(entry, dict) else {"weight": entry}
        for name, entry in conditions.items()
    }
    return {**data, "conditions": named}


_KINDS: dict[str, tuple[type, ...]] = {
    "sampler": (str,), "steps": (int,), "guidance": (int, float), "guidance_start": (int, float),
    "guidance_end": (int, float), "eta": (int, float), "clip_x_0": (bool,),
    "threshold": (int, float, type(None)), "rescale": (int, float), "max_batch": (int,),
    "weight": (int, float), "start": (int, float), "end": (int, float), "region": (str,),
}  # fmt: skip
_WORDS = {
    str: "text", int: "a whole number", float: "a number", bool: "true or false",
    type(None): "nothing",
}  # fmt: skip


def _checked(data: Mapping[str, Any], kind: type, prefix: str) -> Mapping[str, Any]:
    """Entries whose names and types are those of a dataclass."""
    known = [entry.name for entry in fields(kind)]  # type: ignore[arg-type]
    for name, value in data.items():
        if name not in known:
            raise UserInputError(
                f"{DOING}: no setting {prefix}{name} among {', '.join(known)}"
                f"{nearest(str(name), known) or '.'} Next: correct the name."
            )
        wanted = _KINDS.get(name)
        wrong_bool = isinstance(value, bool) and wanted != (bool,)
        if wanted is not None and (wrong_bool or not isinstance(value, wanted)):
            names = " or ".join(
                _WORDS[kind] for kind in wanted if not (kind is int and float in wanted)
            )
            _refuse(f"{prefix}{name} must be {names}, found {value!r}")
    return data


def _check_weight(what: str, weight: float) -> None:
    if not -MOST_WEIGHT <= weight <= MOST_WEIGHT:  # so it is for NaN
        found = str(weight)
        found = found if len(found) <= 30 else f"one of {len(found)} characters"
        _refuse(f"{what} must be a number in -{MOST_WEIGHT}..{MOST_WEIGHT}, found {found}")


def _check_window(what: str, start: float, end: float) -> None:
    if not 0 <= start <= end <= 1:
        _refuse(f"start and end of {what} must be in 0..1 and in order, found {start} and {end}")


def _refuse(problem: str) -> NoReturn:
    raise UserInputError(f"{DOING}: {problem}. Next: correct it.")
