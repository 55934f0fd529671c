"""Scenes with their whole truth as tensors on one device: what everything here is trained on.

Scene descriptions and captions are pure Python and are made by worker processes; pictures and
truth are rendered on the device and stay there, so that training never waits for a disk.
"""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Int8, Int32, UInt8
from torch import Tensor

from composer_pl.data.scenes.captions import captions
from composer_pl.data.scenes.description import Scene
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.truth import instance_classes, near_depth, outlines
from composer_pl.evaluation.scenes.rendered import UNSEEN as UNSEEN  # of which corpora are built
from composer_pl.evaluation.scenes.rendered import attributes_of

SIZE = 128
"""Side of the pictures: the canvas that extractors see; the base model's target is half of it."""

CONTEXT = 64
"""Token ids of a caption; the longest of 20,000 captions of five objects takes 56."""


@dataclass(kw_only=True)
class Corpus:
    """Scenes as tensors.

    Attributes:
        indices: Number of each scene, `Scene.index`.
        scenes: The descriptions.
        pixels: sRGB.
        ids: Instance seen at each pixel; 0 is none, object i is i + 1, the nearest first.
        classes: Index in `vocabulary.SHAPES`, -1 on floor and sky.
        depth: `truth.near_depth` times 255: near is 255.
        outlines: `truth.outlines`.
        attributes: Of each object, see `composer_pl.evaluation.scenes.rendered.SceneTensors`.
        tokens: CLIP's token ids of each caption, zeros after the end token.
        texts: The captions.
    """

    indices: list[int]
    scenes: list[Scene]
    pixels: UInt8[Tensor, "n 3 128 128"]
    ids: UInt8[Tensor, "n 128 128"]
    classes: Int8[Tensor, "n 128 128"]
    depth: UInt8[Tensor, "n 128 128"]
    outlines: Bool[Tensor, "n 128 128"]
    attributes: Int8[Tensor, "n 5 6"]
    tokens: Int32[Tensor, "n texts 64"]
    texts: list[list[str]]

    def __len__(self) -> int:
        return len(self.indices)


def build_corpus(
    indices: Sequence[int],
    *,
    rules: SceneRules | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    texts: int = 3,
    workers: int = 0,
    batch: int = 512,
    log: Callable[[str], None] = print,
) -> Corpus:
    """Sample, word and render scenes.

    Args:
        indices: Which scenes of the seed.
        rules: What they may hold.
        seed: Of the sampler.
        device: Where to render; the tensors lie there.
        texts: Captions a scene.
        workers: Processes for descriptions and captions; 0 makes them here.
        batch: Scenes rendered together.
        log: Told the time that it took.
    """
    # Here, not at the top: it brings open_clip with it; before workers begin, which inherit it.
    from composer_pl_caption.tokens import Tokenizer

    began = time.monotonic()
    indices = list(indices)
    each = max(16, min(batch, -(-len(indices) // max(workers, 1))))
    parts = [indices[i : i + each] for i in range(0, len(indices), each)]
    describe = partial(_described, rules or SceneRules(), seed, texts, Tokenizer(CONTEXT))
    n, side = len(indices), (SIZE, SIZE)

    def empty(*shape: int, dtype: torch.dtype = torch.uint8) -> Tensor:
        return torch.empty(n, *shape, *side, dtype=dtype, device=device)

    pixels, ids, depth = empty(3), empty(), empty()
    classes, lines = empty(dtype=torch.int8), empty(dtype=torch.bool)
    scenes: list[Scene] = []
    worded: list[list[str]] = []
    tokens: list[Tensor] = []
    attributes: list[Tensor] = []
    with ExitStack() as stack:
        described = map(describe, parts)
        if workers:
            pool = stack.enter_context(multiprocessing.get_context("fork").Pool(workers))
            described = pool.imap(describe, parts)  # rendering begins with the first part
        for found, words, ids_of_words, things in described:
            part = slice(len(scenes), len(scenes) + len(found))
            scenes += found
            worded += words
            tokens.append(ids_of_words)
            attributes.append(things)
            drawn = render(found, SIZE, device=device, block=batch * SIZE * SIZE)
            pixels[part], ids[part] = drawn.pixels, drawn.ids
            classes[part] = instance_classes(drawn).to(torch.int8)
            depth[part] = (near_depth(drawn.depth)[:, 0] * 255).round().to(torch.uint8)
            lines[part] = outlines(drawn)[:, 0] > 0
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
    took = max(time.monotonic() - began, 1e-9)
    log(f"{n} scenes: described and rendered in {took:.1f} s ({n / took:.0f} a second)")
    return Corpus(
        indices=indices,
        scenes=scenes,
        pixels=pixels,
        ids=ids,
        classes=classes,
        depth=depth,
        outlines=lines,
        attributes=torch.cat(attributes).to(device),
        tokens=torch.cat(tokens).to(device),
        texts=worded,
    )


def _described(
    rules: SceneRules,
    seed: int,
    texts: int,
    tokenize: Callable[[Sequence[str]], tuple[Tensor, int]],
    indices: Sequence[int],
) -> tuple[list[Scene], list[list[str]], Tensor, Tensor]:
    """Scenes, captions, token ids and attributes of a part; runs in a worker process."""
    torch.set_num_threads(1)
    sampler = SceneSampler(seed, rules)
    scenes = [sampler.scene(index) for index in indices]
    worded = [[caption.text for caption in captions(scene, texts)] for scene in scenes]
    tokens, cut = tokenize([text for words in worded for text in words])
    assert not cut, "a caption is longer than CONTEXT"
    ids = tokens.to(torch.int32).view(len(scenes), texts, CONTEXT)
    return scenes, worded, ids, attributes_of(scenes)
