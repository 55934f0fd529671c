"""Edits of depth and of instances: the nearest thing at another place, or as another shape.

Scenes of two or three things as the models know them (`arms.RULES`), so that there is something
beside the edited one. Told is what the extractors read in the rendered outcome, as for the sketch.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from arms import HELD_OUT, RULES
from corpus import SIZE, build_corpus
from edits import Aspect, Edit, chosen, pixels_in
from jaxtyping import Bool, Float, Int
from torch import Tensor

from composer_pl.data.scenes.description import Scene, SceneObject
from composer_pl.data.scenes.layout import bound, footprint
from composer_pl.data.scenes.solids import SOLIDS
from composer_pl.data.scenes.vocabulary import SHAPES
from composer_pl.evaluation.plain import outline_f1
from composer_pl.evaluation.scenes.judge import Judge, Reading, read_pictures
from composer_pl.evaluation.scenes.rendered import SceneTensors, render_scenes
from composer_pl.evaluation.scenes.scores import shape_iou
from composer_pl.evaluation.scenes.truth import Truth, whole_truth

_GAP = 0.10  # least clear floor between two things, in scene units
_STEP, _STEPS = 0.1, 40  # places that a thing is tried at, to either side
_SLACK = 0.25  # of a ball's radius in the picture, by which balls may meet: things do not fill them
_ALIKE = 4  # grey levels by which two renderings may differ where they show the same

BESIDE: dict[str, Sequence[str] | None] = {"": None, ", palette alone kept": ("color",)}
"""Name -> what is kept beside an edited map; the first is the task as it is."""


def moved(scene: Scene) -> list[Scene]:
    """The nearest thing wholly to the left or right of where it stood, from the left.

    The camera does not roll and looks along z, so that the nearest thing stays the nearest.
    """
    thing = scene.objects[0]
    found = []
    for step in range(-_STEPS, _STEPS + 1):
        x, y, z = thing.position
        there = replace(thing, position=(x + _STEP * step, y, z))
        if _apart(scene, there, thing) and _stands_free(scene, there):
            found.append(replace(scene, objects=(there, *scene.objects[1:])))
    return found


def exchanged(scene: Scene) -> list[Scene]:
    """The nearest thing as each other shape that has room, but for pairs that no model has seen."""
    thing = scene.objects[0]
    found = []
    for shape in SHAPES:
        x, _, z = thing.position
        other = replace(thing, shape=shape, position=(x, SOLIDS[shape].height * thing.scale, z))
        pairs = {f"{color} {shape}" for color in (thing.color, thing.second_color)}
        if shape != thing.shape and not pairs & set(HELD_OUT) and _stands_free(scene, other):
            found.append(replace(scene, objects=(other, *scene.objects[1:])))
    return found


def depth_edits(judge: Judge, n: int) -> list[Edit]:
    """The nearest thing moved to one side in the depth map; the blind edit moves it elsewhere."""

    def ends(scene: Scene) -> list[Scene]:
        places = moved(scene)
        return [places[0], places[-1]] if places else []

    def fits(scene: Scene) -> bool:
        if len(scene.objects) < 2 or not (found := ends(scene)):
            return False
        one, two = (s.objects[0] for s in found)
        return _apart(scene, one, two)

    return _edits(judge, n, part="depth", fits=fits, outcomes=ends)


def instances_edits(judge: Judge, n: int) -> list[Edit]:
    """The nearest thing given another class; the blind edit gives it a third."""

    def fits(scene: Scene) -> bool:
        return len(scene.objects) >= 2 and len(exchanged(scene)) >= 2

    return _edits(judge, n, part="instances", fits=fits, outcomes=exchanged)


def _edits(
    judge: Judge,
    n: int,
    *,
    part: str,
    fits: Callable[[Scene], bool],
    outcomes: Callable[[Scene], list[Scene]],
) -> list[Edit]:
    """Edits to the first outcome of each scene, blind ones to the second."""
    corpus = build_corpus(chosen(n, fits, RULES["A"]), rules=RULES["A"])
    wanted, otherwise = (
        render_scenes([outcomes(scene)[i] for scene in corpus.scenes], SIZE) for i in (0, 1)
    )
    edit = Edit(
        name=part,
        part=part,
        corpus=corpus,
        wanted=wanted.pixels,
        otherwise=otherwise.pixels,
        aspects=_aspects(judge, Places.of(corpus, wanted), whole_truth(wanted), part),
    )
    return [replace(edit, name=part + name, keep=keep) for name, keep in BESIDE.items()]


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where an edit of the nearest thing shows, at the judge's 64 px.

    Attributes:
        thing: Wholly covered by the thing that is wanted.
        around: Where the thing was or is to be, 3 px of 128 wider.
        elsewhere: Where both renderings show the same; shadows and mirrored things are not there.
    """

    thing: Bool[Tensor, "n 64 64"]
    around: Bool[Tensor, "n 64 64"]
    elsewhere: Bool[Tensor, "n 64 64"]

    @classmethod
    def of(cls, before: SceneTensors, wanted: SceneTensors) -> "Places":
        """Compare two renderings of the same things in the same order."""
        was, to_be = (scenes.ids == 1 for scenes in (before, wanted))
        wide = F.max_pool2d((was | to_be).float()[:, None], 7, 1, 3)
        levels = (before.pixels.int() - wanted.pixels.int()).abs().amax(1)
        other = F.max_pool2d((levels > _ALIKE).float()[:, None], 2)[:, 0] > 0
        around = F.max_pool2d(wide, 2)[:, 0] > 0
        whole = F.avg_pool2d(to_be.float()[:, None], 2)[:, 0] > 0.999
        return cls(thing=whole, around=around, elsewhere=~(around | other))


def _aspects(judge: Judge, places: Places, truth: Truth, part: str) -> list[Aspect]:
    def read(score: Callable[[Reading], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda pictures, wanted: score(read_pictures(judge, pictures))

    around, thing, elsewhere = places.around, places.thing, places.elsewhere
    where = "where the thing was or is to be"
    changed: dict[str, Aspect] = {
        "depth": (
            "changed",
            f"judged depth {where}, correlation",
            read(lambda r: correlation_in(r.depth, truth.depth, around)),
        ),
        "instances": (
            "changed",
            f"judged shapes {where}, IoU",
            read(lambda r: shape_iou_in(r.shapes, truth.shapes, around)),
        ),
    }
    return [
        changed[part],
        (
            "changed",
            "judged shape, share of the thing's place",
            read(lambda r: share_right(r.shapes, truth.shapes, thing)),
        ),
        ("kept", "pixels elsewhere", lambda p, w: pixels_in(p, w, elsewhere)),
        (
            "kept",
            "judged outlines elsewhere, F1",
            read(lambda r: outline_f1((r.outlines > 0) & elsewhere, truth.outlines & elsewhere)),
        ),
        (
            "kept",
            "judged colour, share of the thing's place",
            read(lambda r: share_right(r.colors, truth.colors, thing)),
        ),
    ]


def correlation_in(
    ours: Float[Tensor, "n h w"], theirs: Float[Tensor, "n h w"], where: Bool[Tensor, "n h w"]
) -> Float[Tensor, " n"]:
    """Pearson's over the pixels there, 0 where one is flat."""
    count = where.sum((1, 2), keepdim=True)
    a, b = (
        ((x - (x * where).sum((1, 2), keepdim=True) / count) * where).flatten(1)
        for x in (ours, theirs)
    )
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1)).clamp(min=1e-6)


def shape_iou_in(
    logits: Float[Tensor, "n k h w"],
    shares: Float[Tensor, "n k h w"],
    where: Bool[Tensor, "n h w"],
) -> Float[Tensor, " n"]:
    """`shape_iou` as if there were floor alone outside."""

    def inside(classes: Int[Tensor, "n h w"]) -> Tensor:
        last = logits.shape[1] - 1
        return F.one_hot(torch.where(where, classes, last), last + 1).movedim(-1, 1)

    return shape_iou(inside(logits.argmax(1)), inside(shares.argmax(1)))


def share_right(
    logits: Float[Tensor, "n k h w"],
    shares: Float[Tensor, "n k h w"],
    where: Bool[Tensor, "n h w"],
) -> Float[Tensor, " n"]:
    """Share of the pixels there whose judged value covers half of them or more, as of a pattern."""
    right = shares.gather(1, logits.argmax(1, keepdim=True))[:, 0] > 0.49
    return (right & where).sum((1, 2)) / where.sum((1, 2))


def _stands_free(scene: Scene, thing: SceneObject) -> bool:
    """Whether a thing in place of the nearest is wholly in view and clear of the others."""
    x, y, radius = _disc(scene, thing)
    others = scene.objects[1:]
    return all(radius < place < 1 - radius for place in (x, y)) and all(
        _apart(scene, thing, other)
        and math.dist(thing.position[::2], other.position[::2])
        > footprint(thing) + footprint(other) + _GAP
        for other in others
    )


def _apart(scene: Scene, one: SceneObject, two: SceneObject) -> bool:
    """Whether two things do not meet in the picture."""
    (x, y, a), (u, v, b) = _disc(scene, one), _disc(scene, two)
    return math.hypot(x - u, y - v) > a + b - _SLACK * a


def _disc(scene: Scene, thing: SceneObject) -> tuple[float, float, float]:
    """Column, row and radius of a thing's ball, in shares of the picture's side."""
    x, y = scene.camera.projected(thing.position)
    reach = scene.camera.coordinates(thing.position)[2] * math.tan(scene.camera.half_angle)
    return x, y, 0.5 * bound(thing) / reach
