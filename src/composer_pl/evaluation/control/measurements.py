"""The numbers of the control protocol as measurements, each with all that it hangs on."""

from collections.abc import Mapping, Sequence
from typing import Any

from composer_pl.evaluation.control.baselines import Baseline
from composer_pl.evaluation.control.measure import ALL, NONE, Control, with_arm
from composer_pl.evaluation.control.quality import KERNEL_SIZE, KERNEL_SUBSETS, Quality
from composer_pl.evaluation.control.results import Line, beside, pair_way
from composer_pl.evaluation.control.scorers import Scorer
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.metrics.kid import OVER_SUBSETS, subset_size
from composer_pl.evaluation.stated import stated

PROTOCOL = "control"
OVER = "over pictures"


_Found = tuple[str, Interval, int, dict[str, Any]]
"""Name, number, pictures and further settings of a measurement."""


def control_measurements(
    lines: Sequence[Line],
    quality: Mapping[str, Quality],
    control: Control,
    settings: Mapping[str, Any],
    baselines: Sequence[Baseline] = (),
    *,
    blind: str = "",
    features: Mapping[str, Any] | None = None,
) -> list[Measurement]:
    """Every number as a measurement; undefined ones are left out.

    A number carries the settings that it hangs on and no others, so that it is comparable with that
    of another run which drew other arms.

    Args:
        lines: From `lines_of`.
        quality: Arm -> how its pictures look.
        control: What was measured.
        settings: What made all of the numbers, see `Measurement`.
        baselines: Other models that were measured too.
        blind: What drew the pictures that know nothing.
        features: The feature network of `quality`, where there was one.
    """
    found = [*_scored(lines, control, blind), *_of_baselines(control, baselines)]
    measurements = []
    for name, interval, count, facts in found:
        measurements += stated(
            {name: interval},
            protocol=PROTOCOL,
            over=OVER,
            count=count,
            groups=count,
            settings={**settings, **facts},
        )
    drawn_by = _drawn_by(control, baselines, blind)
    for arm, one in quality.items():
        own = {**settings, **drawn_by.get(arm, {})}
        by_network = own | ({"features": features} if features else {})
        kernel = {"size": subset_size(KERNEL_SIZE, len(control)), "subsets": KERNEL_SUBSETS}
        plain = (
            ("variety", one.variety, OVER, own),
            ("kernel distance", one.kernel, OVER_SUBSETS, by_network | {"kernel": kernel}),
            ("precision", one.precision, OVER, by_network),
            ("recall", one.recall, OVER, by_network),
            ("spread", one.spread, OVER, own),
        )
        for what, interval, over, facts in plain:
            if interval is None:
                continue
            count = len(control.again[arm]) if what == "spread" else len(control)
            measurements += stated(
                {f"{arm}: {what}": interval},
                protocol=PROTOCOL,
                over=over,
                count=count,
                groups=count,
                settings=facts,
            )
    return measurements


def _scored(lines: Sequence[Line], control: Control, blind: str) -> list[_Found]:
    found: list[_Found] = []
    for line in lines:
        scorer = line.scorer
        by, facts = _named(scorer)
        told = {
            "floor": line.floor,
            "alone": line.alone,
            "ceiling": line.ceiling,
            "way": line.way,
            "all given": line.whole,
            "way, all given": line.whole_way,
            "blind": line.blind,
            "blind way": line.blind_way,
        }
        for what, interval in told.items():
            if interval is not None:
                company = {"conditions": control.names} if what.endswith("all given") else {}
                nothing = {"blind": blind} if what.startswith("blind") else {}
                own = facts | company | nothing
                found.append((f"{by}: {what}", interval, len(control), own))
        for other in control.names:
            if (way := pair_way(control, scorer, other)) is not None:
                count = len(control.scores[scorer.condition, scorer.name, with_arm(other)])
                found.append((f"{by}: way, with {other}", way, count, facts | {"with": other}))
    return found


def _of_baselines(control: Control, baselines: Sequence[Baseline]) -> list[_Found]:
    found: list[_Found] = []
    for other in beside(control, baselines):
        by, facts = _named(other.scorer)
        facts["baseline"] = other.baseline.sha256
        company = ""
        if other.given == ALL:
            company, facts["conditions"] = f", {ALL}", list(other.baseline.names)
        label = other.baseline.label
        told = {f"way of {label}": other.way, f"way ahead of {label}": other.ahead}
        for what, interval in told.items():
            if interval is not None:
                found.append((f"{by}: {what}{company}", interval, len(control), facts))
    return found


def _named(scorer: Scorer) -> tuple[str, dict[str, Any]]:
    """How measures of a scorer begin, and what they are of."""
    return f"{scorer.condition} by {scorer.name}", {
        "condition": scorer.condition,
        "scorer": scorer.name,
        "independent": scorer.independent,
    }


def _drawn_by(
    control: Control, baselines: Sequence[Baseline], blind: str
) -> dict[str, dict[str, Any]]:
    """Arm -> what its pictures hang on beside the model and the arm's name."""
    found: dict[str, dict[str, Any]] = {NONE: {"blind": blind}, ALL: {"conditions": control.names}}
    for baseline in baselines:
        found |= {baseline.arm(name): {"baseline": baseline.sha256} for name in baseline.names}
        found[baseline.arm(ALL)] = {
            "baseline": baseline.sha256,
            "conditions": list(baseline.names),
        }
    return found
