"""The tasks as they are measured, on scenes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageFilter

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.tasks.colorization import colorization
from composer_pl.composing.tasks.frame import FROM_NOISE, INVERTING, TaskSettings
from composer_pl.composing.tasks.mix import mix
from composer_pl.composing.tasks.pose import pose
from composer_pl.composing.tasks.region import region
from composer_pl.composing.tasks.style import style
from composer_pl.composing.tasks.text import text
from composer_pl.composing.tasks.translation import translation
from composer_pl.composing.tasks.tryon import tryon
from composer_pl.composing.tasks.variation import variation
from composer_pl.models.prior import PriorModel

MAPS = ("sketch", "depth", "instances")


@dataclass(frozen=True, kw_only=True)
class Scenes:
    """What the tasks are given.

    Attributes:
        pictures: Of 128 px.
        recolored: Their twins.
        texts: A caption of each.
        twin_texts: A caption of each twin, in the same words but for the colours.
        masks: Each scene's nearest object, white.
    """

    pictures: Sequence[Image.Image]
    recolored: Sequence[Image.Image]
    texts: Sequence[str]
    twin_texts: Sequence[str]
    masks: Sequence[Image.Image]


@dataclass(frozen=True, kw_only=True)
class Line:
    """A task as it is measured.

    Attributes:
        name: Of the task and its way.
        plan: (scene i, another scene j) -> what to draw; j is i + 1, around the corner.
        changed: (aspect, of whom): "other", "twin".
        kept: Aspects of the scene itself.
        edits: Whether there is a picture before.
    """

    name: str
    plan: Callable[[int, int], Drawing]
    changed: Sequence[tuple[str, str]]
    kept: Sequence[str] = ()
    edits: bool = True


def lines(
    composer: Composer, s: Scenes, steps: int, prior: PriorModel | None, walk_guidance: float | None
) -> list[Line]:
    """The tasks, as far as the model has what they need."""
    quick = TaskSettings(n=1, recipe=replace(FROM_NOISE, steps=steps, guidance=2.0))
    walking = replace(INVERTING, steps=2 * steps)  # DDIM takes smaller steps
    if walk_guidance is not None:
        walking = replace(walking, guidance=walk_guidance)
    walk = TaskSettings(n=1, recipe=walking)
    p, twin = s.pictures, s.recolored
    maps = ("shapes", "outlines", "depth")

    found = [
        Line(
            name="text",
            plan=lambda i, j: text(composer, s.texts[j], settings=quick)[0],
            changed=[("claimed pairs", "other")],
            edits=False,
        ),
        Line(
            name="variation, maps kept",
            plan=lambda i, j: variation(composer, p[i], keep=MAPS, settings=quick),
            changed=[],
            kept=[*maps, "colours"],
        ),
        Line(
            name="variation, semantics kept",
            plan=lambda i, j: variation(composer, p[i], keep=["semantics"], settings=quick),
            changed=[],
            kept=["pairs", "surroundings", "shapes"],
        ),
        Line(
            name="mix: sketch and depth, another's palette",
            plan=lambda i, j: mix(
                composer, {"sketch": p[i], "depth": p[i], "color": p[j]}, settings=quick
            ),
            changed=[("colours", "other")],
            kept=maps,
        ),
        Line(
            name="mix, the palette at weight 2",
            plan=lambda i, j: mix(
                composer,
                {"sketch": p[i], "depth": p[i], "color": p[j]},
                weights={"color": 2.0},
                settings=quick,
            ),
            changed=[("colours", "other")],
            kept=maps,
        ),
        *(
            Line(
                name=f"style, strength {strength:g}",
                plan=lambda i, j, strength=strength: style(
                    composer, p[j], p[i], strength=strength, settings=quick
                ),
                changed=[("surroundings", "other"), ("colours", "other")],
                kept=maps,
            )
            for strength in (0, 0.5, 1)
        ),
        *(
            Line(
                name=f"translation by {route}, other colours",
                plan=lambda i, j, route=route: translation(
                    composer,
                    p[i],
                    s.twin_texts[i],
                    before=s.texts[i],
                    route=route,
                    settings=walk if route == "inversion" else quick,
                ),
                changed=[("claimed pairs", "twin")],
                kept=[*maps, "surroundings"],
            )
            for route in ("noise", "inversion")
        ),
        *(
            Line(
                name=f"colorization by {route}",
                plan=lambda i, j, route=route: colorization(
                    composer,
                    p[i],
                    p[j],
                    route=route,
                    settings=walk if route == "inversion" else quick,
                ),
                changed=[("hues", "other")],
                kept=["grey levels"],
            )
            for route in ("noise", "inversion")
        ),
        Line(
            name="colorization by noise, luma kept",
            plan=lambda i, j: colorization(composer, p[i], p[j], keep_luma=True, settings=quick),
            changed=[("hues", "other")],
            kept=["grey levels"],
        ),
        *(
            Line(
                name=f"pose by {route}",
                plan=lambda i, j, route=route: pose(
                    composer,
                    p[i],
                    composer.decompose(p[j], names=["instances"]),
                    route=route,
                    settings=walk if route == "inversion" else quick,
                ),
                changed=[("shapes", "other")],
                kept=["surroundings", "colours"],
            )
            for route in ("noise", "inversion")
        ),
        Line(
            name="region: the nearest object, by the twin's caption",
            plan=lambda i, j: region(
                composer,
                p[i],
                s.masks[i].filter(ImageFilter.MaxFilter(13)),  # as one paints: 6 px more
                parts=composer.read("caption", s.twin_texts[i]),
                settings=quick,
            ),
            changed=[("colour in the region", "twin")],
            kept=["outside the region"],
        ),
        Line(
            name="try-on: the twin in the nearest object's place",
            plan=lambda i, j: tryon(composer, p[i], twin[i], s.masks[i], settings=quick),
            changed=[("colour in the region", "twin")],
            kept=["outside the region"],
        ),
    ]
    if prior is not None:
        with_prior = Line(
            name="text, with the prior",
            plan=lambda i, j: text(composer, s.texts[j], prior=prior, settings=quick)[0],
            changed=[("claimed pairs", "other")],
            edits=False,
        )
        found.insert(1, with_prior)
    return found
