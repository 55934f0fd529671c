"""Twins of scenes: the same things in the same places, but of other colours."""

from dataclasses import replace

from arms import HELD_OUT
from corpus import Corpus
from torch import Tensor

from composer_pl.data.scenes.captions import caption
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.vocabulary import COLORS

_COLOR, _SECOND = 2, 5  # columns of Corpus.attributes
_NAMES = list(COLORS)


def twins(corpus: Corpus) -> Corpus:
    """Every scene with its colours moved on by the same number of places, 1 to 7.

    Of those that lead to no pair of colour and shape that the models never saw, the largest; where
    all do, the largest.
    """
    moves = [_move(scene) for scene in corpus.scenes]
    scenes = [recolored(scene, move) for scene, move in zip(corpus.scenes, moves, strict=True)]
    attributes = corpus.attributes.clone()
    for row, move in zip(attributes, moves, strict=True):
        for column in (_COLOR, _SECOND):
            row[:, column] = _moved(row[:, column], move)
    return replace(
        corpus,
        scenes=scenes,
        pixels=render(scenes, corpus.pixels.shape[-1]).pixels,
        attributes=attributes,
        texts=[[caption(scene, 0).text] for scene in scenes],
    )


def recolored(scene: Scene, move: int) -> Scene:
    """The scene with every colour moved on in the order of the vocabulary."""

    def on(name: str) -> str:
        return _NAMES[(_NAMES.index(name) + move) % len(_NAMES)] if name else name

    things = [
        replace(thing, color=on(thing.color), second_color=on(thing.second_color))
        for thing in scene.objects
    ]
    return replace(scene, objects=tuple(things))


def _move(scene: Scene) -> int:
    for move in range(len(_NAMES) - 1, 0, -1):
        pairs = [
            f"{color} {thing.shape}"
            for thing in recolored(scene, move).objects
            for color in (thing.color, thing.second_color)
        ]
        if not any(pair in HELD_OUT for pair in pairs):
            return move
    return len(_NAMES) - 1


def _moved(column: Tensor, move: int) -> Tensor:
    return ((column + move) % len(_NAMES)).where(column >= 0, column)
