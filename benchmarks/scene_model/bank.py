"""The conditions of a corpus, extracted once and kept on the device in few bits.

Every value comes from the plugin's own extractor, but three: instances are painted from the truth,
which their network is trained to find (its post-processing goes picture by picture); grey weights
and holes are drawn anew at every step, holes from a bank of masks that the plugin drew.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from corpus import Corpus
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from composer_pl.plugin.api import ConditionPlugin
from composer_pl.plugin.values import finished, to_canvas

SIDE = 64
"""Of targets and of local values."""

_CHUNK = 1024
_THREADS = 8  # of the sketch's strokes, which are chosen on the CPU


@dataclass(kw_only=True)
class Bank:
    """Targets and values of a corpus.

    Attributes:
        x_0: The targets, 64 px; the picture that grey and holes are made from as well, since local
            values have the target's size (`hint_scale` is 1).
        fixed: Values by condition, floats of local ones times 255.
        texts: Captions a scene; caption k of scene i is row `i * texts + k`.
        masks: Holes, True where known.
        greys: RGB weights that intensity draws from.
    """

    x_0: UInt8[Tensor, "n 3 64 64"]
    fixed: dict[str, Tensor]
    texts: int
    masks: Bool[Tensor, "m 1 64 64"]
    greys: Float[Tensor, "k 3"]

    def __len__(self) -> int:
        return len(self.x_0)

    def draw(
        self, batch: int, generator: torch.Generator, *, among: int | None = None
    ) -> tuple[Float[Tensor, "b 3 64 64"], dict[str, Tensor]]:
        """Draw a batch of targets in [-1, 1] with their values, on the device.

        Args:
            batch: How many.
            generator: On the device.
            among: Of how many scenes, the first ones; None draws of all.
        """
        device = self.x_0.device

        def integers(high: int) -> Int[Tensor, " b"]:
            return torch.randint(high, (batch,), generator=generator, device=device)

        rows = integers(len(self) if among is None else min(among, len(self)))
        values: dict[str, Tensor] = {}
        for name, table in self.fixed.items():
            if name == "caption":
                values[name] = table[rows * self.texts + integers(self.texts)].float()
            elif table.dtype == torch.uint8:
                values[name] = table[rows].float() / 255
            else:
                values[name] = table[rows].float()
        x_0 = self.x_0[rows].float() / 127.5 - 1
        weights = self.greys[integers(len(self.greys))][:, :, None, None]
        values["intensity"] = (x_0 * weights).sum(1, keepdim=True).clamp(-1, 1)
        known = self.masks[integers(len(self.masks))].float()
        values["masking"] = torch.cat([x_0 * known, known], 1)
        return x_0, values


def join_banks(parts: Sequence[Bank]) -> Bank:
    """One bank of several, with the greys of the first."""
    first = parts[0]
    return Bank(
        x_0=torch.cat([part.x_0 for part in parts]),
        fixed={name: torch.cat([part.fixed[name] for part in parts]) for name in first.fixed},
        texts=first.texts,
        masks=torch.cat([part.masks for part in parts]),
        greys=first.greys,
    )


def empty_bank(
    plugins: Mapping[str, ConditionPlugin], device: torch.device, *, rows: int = 512
) -> Bank:
    """A bank without content, whose draws have the shapes of a real one; to compile with."""
    fixed = {}
    for name in ("caption", "semantics", "color", "sketch", "instances", "depth"):
        spec = plugins[name].spec
        local = plugins[name].scope == "local"
        shape = (spec.shape[0], SIDE, SIDE) if local else spec.shape
        dtype = torch.uint8 if local else torch.float16
        fixed[name] = torch.zeros(rows, *shape, dtype=dtype, device=device)
    return Bank(
        x_0=torch.zeros(rows, 3, SIDE, SIDE, dtype=torch.uint8, device=device),
        fixed=fixed,
        texts=1,
        masks=torch.ones(8, 1, SIDE, SIDE, dtype=torch.bool, device=device),
        greys=torch.full((1, 3), 1 / 3, device=device),
    )


def draw_masks_bank(count: int, *, workers: int = 0) -> Bool[Tensor, "m 1 64 64"]:
    """Draw holes with the plugin's own function; its keys count from 0."""
    parts = [range(i, min(i + 64, count)) for i in range(0, count, 64)]
    if workers:
        with multiprocessing.get_context("fork").Pool(workers) as pool:
            return torch.cat(pool.map(_masks, parts))
    return torch.cat([_masks(part) for part in parts])


def _masks(keys: range) -> Bool[Tensor, "m 1 64 64"]:
    from composer_pl_masking.drawing import draw_masks

    torch.set_num_threads(1)
    return draw_masks(torch.tensor(list(keys)), (SIDE, SIDE), (0.7, 0.2, 0.1)) > 0.5


@torch.no_grad()
def build_bank(
    corpus: Corpus,
    plugins: Mapping[str, ConditionPlugin],
    masks: Bool[Tensor, "m 1 64 64"],
    *,
    log: Callable[[str], None] = print,
) -> Bank:
    """Extract all values of a corpus.

    Args:
        corpus: The scenes.
        plugins: Conditions of the model, by their customary names.
        masks: From `draw_masks_bank`.
        log: Told how long each condition took.
    """
    from composer_pl_instances.truth import truth_values
    from composer_pl_intensity.greys import GREYS

    device, n, texts = corpus.pixels.device, len(corpus), corpus.tokens.shape[1]
    fixed: dict[str, Tensor] = {}
    for name in ("caption", "semantics", "color", "sketch", "instances", "depth"):
        if name not in plugins:
            continue
        began = time.monotonic()
        plugin = plugins[name]
        if name == "caption":
            fixed[name] = _caption_values(corpus, plugin)
        elif name == "instances":
            fixed[name] = torch.cat(
                [
                    _eighths(truth_values(corpus.ids[p], corpus.attributes[p], SIDE, canvas=256))
                    for p in _parts(n)
                ]
            )
        else:
            extractor = plugin.build_extractor()
            if isinstance(extractor, torch.nn.Module):
                extractor.to(device).eval()

            def extract(part: slice, plugin=plugin, extractor=extractor, name=name) -> Tensor:
                image = corpus.pixels[part].float() / 127.5 - 1
                answer = extractor(to_canvas(image, plugin, (SIDE, SIDE)))
                value = finished(answer, plugin, (SIDE, SIDE), rows=len(image), name=name)
                return _eighths(value) if plugin.scope == "local" else value.half()

            threads = _THREADS if name == "sketch" and device.type == "cuda" else 1
            with ThreadPoolExecutor(threads) as pool:
                fixed[name] = torch.cat(list(pool.map(extract, _parts(n))))
        if device.type == "cuda":
            torch.cuda.synchronize()
        log(f"values of {name}: {time.monotonic() - began:.1f} s")
    x_0 = torch.cat([_target(corpus.pixels[part]) for part in _parts(n)])
    return Bank(
        x_0=x_0,
        fixed=fixed,
        texts=texts,
        masks=masks.to(device),
        greys=torch.tensor(list(GREYS.values()), device=device),
    )


def _caption_values(corpus: Corpus, plugin: ConditionPlugin) -> Tensor:
    """As the extractor does, from token ids instead of texts, in half precision."""
    extractor = plugin.build_extractor()
    text = extractor.text.to(corpus.tokens.device)  # pyright: ignore[reportFunctionMemberAccess]
    rows = []
    for tokens in corpus.tokens.flatten(0, 1).split(4 * _CHUNK):
        tokens = tokens.long()
        sentence, words = text(tokens)
        places = torch.arange(tokens.shape[1], device=tokens.device)
        words = torch.where((places <= tokens.argmax(1)[:, None])[..., None], words, 0)
        width = max(sentence.shape[1], words.shape[2])
        value = torch.zeros(len(tokens), 1 + words.shape[1], width, device=tokens.device)
        value[:, 0, : sentence.shape[1]] = sentence
        value[:, 1:, : words.shape[2]] = words
        rows.append(value.half())
    return torch.cat(rows)


def _target(pixels: UInt8[Tensor, "n 3 128 128"]) -> UInt8[Tensor, "n 3 64 64"]:
    small = interpolate(pixels.float(), size=(SIDE, SIDE), mode="bicubic", antialias=True)
    return small.clamp(0, 255).round().to(torch.uint8)


def _eighths(value: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    return (value * 255).round().to(torch.uint8)


def _parts(n: int) -> list[slice]:
    return [slice(i, min(i + _CHUNK, n)) for i in range(0, n, _CHUNK)]
