"""Decomposition: run frozen extractors on the samples of a batch that keep their condition.

The drop mask is drawn first and only what is kept is extracted, which halves the cost at the
paper's probabilities and changes nothing else, since a dropped value never reaches the network.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from composer_pl.conditions.cache import ValueCache
from composer_pl.errors import RepresentationError
from composer_pl.plugin.api import ConditionPlugin, Extractor
from composer_pl.types import Batch


class Extraction:
    """The frozen side of all conditions of a model. Not a Module: it never enters a checkpoint.

    Extractors are built on first use, so a condition that is never extracted needs no weights.

    Args:
        plugins: The conditions by name.
        value_size: Height and width of local values: `hint_scale` times the sides of x_t.
        cache_dir: Where to keep extracted values of conditions that do not draw at random; None
            extracts anew each time, as the paper does.
        versions: Package version of each plugin, part of the cache's digest.
    """

    def __init__(
        self,
        plugins: Mapping[str, ConditionPlugin],
        *,
        value_size: tuple[int, int],
        cache_dir: str | Path | None = None,
        versions: Mapping[str, str] | None = None,
    ):
        self.plugins = dict(plugins)
        self.value_size = value_size
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.versions = dict(versions or {})
        self._extractors: dict[str, Extractor] = {}
        self._caches: dict[str, ValueCache] = {}

    def available(self, batch: Batch) -> Bool[Tensor, "n b"]:
        """False where a sample lacks what a condition is extracted from (a caption)."""
        captioned = torch.tensor([bool(text.strip()) for text in batch["caption"]])
        always = torch.ones_like(captioned)
        given = batch.get("conditions", {})
        rows = [
            captioned if "caption" in plugin.inputs and name not in given else always
            for name, plugin in self.plugins.items()
        ]
        return torch.stack(rows) if rows else always.new_zeros(0, len(always))

    def extractor(self, name: str, device: torch.device) -> Extractor:
        """The frozen extractor of a condition, built once and moved to `device`."""
        if name not in self._extractors:
            extractor = self.plugins[name].build_extractor()
            if isinstance(extractor, nn.Module):
                extractor.eval().requires_grad_(False)
            self._extractors[name] = extractor
        extractor = self._extractors[name]
        if isinstance(extractor, nn.Module):
            extractor.to(device)
        return extractor

    def value_shape(self, name: str) -> tuple[int, ...]:
        """Shape of one sample's value, H and W filled in."""
        height, width = self.value_size
        sides = {"H": height, "W": width}
        return tuple(
            sides[axis] if isinstance(axis, str) else axis for axis in self.plugins[name].spec.shape
        )

    @torch.no_grad()
    def extract(self, batch: Batch, keep: Bool[Tensor, "n b"]) -> dict[str, Tensor]:
        """Values of all conditions; rows that are not kept are zeros and cost nothing.

        Args:
            batch: See `composer_pl.types.Batch`; values are made on the device of `source`.
            keep: Rows in the order of `plugins`.

        Returns:
            For each condition `(b, *spec.shape)` in float32.

        Raises:
            RepresentationError: An extractor contradicts its declared spec.
        """
        device = batch["source"].device
        given = batch.get("conditions", {})
        values: dict[str, Tensor] = {}
        for name, kept in zip(self.plugins, keep.cpu(), strict=True):
            rows = kept.nonzero()[:, 0]
            value = torch.zeros(len(kept), *self.value_shape(name), device=device)
            if len(rows):
                chosen = rows.to(device)
                value[chosen] = (
                    given[name][chosen].to(value)
                    if name in given
                    else self._values(name, batch, rows).to(device)
                )
            values[name] = value
        return values

    def _values(self, name: str, batch: Batch, rows: Int[Tensor, " r"]) -> Tensor:
        """Values of the chosen rows, from the cache where it has them."""
        plugin = self.plugins[name]
        cache = None if plugin.randomized else self._cache(name, batch)
        if cache is None:
            return self._run(name, batch, rows)
        identities = batch["identity"].cpu()
        if "caption" in plugin.inputs:  # the text may change from epoch to epoch
            return cache.rounded(self._run(name, batch, rows))
        found = [cache.read(int(identities[row])) for row in rows]
        lacking = [i for i, value in enumerate(found) if value is None]
        if lacking:
            fresh = self._run(name, batch, rows[lacking])
            cache.write(identities[rows[lacking]], fresh)
            for i, value in zip(lacking, cache.rounded(fresh.cpu()), strict=True):
                found[i] = value
        return torch.stack([value for value in found if value is not None])

    def _run(self, name: str, batch: Batch, rows: Int[Tensor, " r"]) -> Tensor:
        plugin = self.plugins[name]
        device = batch["source"].device
        inputs: list[Tensor | list[str]] = []
        for source in plugin.inputs:
            if source == "image":
                inputs.append(to_canvas(batch["source"][rows.to(device)], plugin, self.value_size))
            else:
                inputs.append([batch["caption"][int(row)] for row in rows])
        if plugin.randomized:
            inputs.append(batch["key"].cpu()[rows])
        extractor = self.extractor(name, device)
        with torch.autocast(device.type, enabled=False):
            value = extractor(*inputs)
        if plugin.scope == "local":
            value = to_value_size(value, plugin, self.value_size)
        expected = (len(rows), *self.value_shape(name))
        check_value(name, plugin, value, expected)
        return value.float()

    def _cache(self, name: str, batch: Batch) -> ValueCache | None:
        if self.cache_dir is None:
            return None
        if name not in self._caches:
            height, width = batch["source"].shape[-2:]
            self._caches[name] = ValueCache(
                self.cache_dir,
                self.plugins[name],
                name=name,
                version=self.versions.get(name, ""),
                value_size=self.value_size,
                canvas=(height, width),
            )
        return self._caches[name]


def to_canvas(
    image: Float[Tensor, "b 3 h w"], plugin: ConditionPlugin, value_size: tuple[int, int]
) -> Float[Tensor, "b 3 _h _w"]:
    """Bring pictures to the canvas that a plugin wants (its short side, where not square).

    A plugin without a canvas gets them at the size of values.
    """
    height, width = image.shape[-2:]
    if plugin.canvas is None:
        size = value_size
    else:
        scale = plugin.canvas / min(height, width)
        size = (round(height * scale), round(width * scale))
    if (height, width) == size:
        return image
    resized = F.interpolate(image, size=size, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp(-1, 1)


def to_value_size(value: Tensor, plugin: ConditionPlugin, size: tuple[int, int]) -> Tensor:
    """Bring an extracted map to H x W by the plugin's `resample`; the value range is kept."""
    if value.shape[-2:] == torch.Size(size):
        return value
    if plugin.resample == "nearest":
        return F.interpolate(value, size=size, mode="nearest-exact")
    mode = "bilinear" if plugin.resample == "area" else "bicubic"
    resized = F.interpolate(value, size=size, mode=mode, antialias=True, align_corners=False)
    low, high = plugin.spec.value_range or (None, None)
    return resized if low is None else resized.clamp(low, high)


def check_value(
    name: str, plugin: ConditionPlugin, value: Tensor, expected: tuple[int, ...]
) -> None:
    """Hold an extracted value against its declared spec.

    Raises:
        RepresentationError: Shape, finiteness or range contradict the spec.
    """
    doing = f"Extracting the condition {name!r} with {type(plugin).__name__}"
    advice = f"Next: `composer-pl plugins check {name}`, and report it to the plugin's author."
    if tuple(value.shape) != expected:
        raise RepresentationError(
            f"{doing}: expected shape {expected}, found {tuple(value.shape)}. {advice}"
        )
    if not bool(value.isfinite().all()):
        raise RepresentationError(f"{doing}: expected finite numbers, found NaN or Inf. {advice}")
    if plugin.spec.value_range is not None and value.numel():
        low, high = plugin.spec.value_range
        least, most = float(value.min()), float(value.max())
        slack = 1e-4 * (high - low)
        if least < low - slack or most > high + slack:
            raise RepresentationError(
                f"{doing}: expected values in [{low}, {high}], found [{least:.4g}, {most:.4g}]. "
                f"{advice}"
            )


def extractor_at(
    extractor: Extractor, plugin: ConditionPlugin, size: tuple[int, int]
) -> Callable[..., Tensor]:
    """Wrap a local extractor so that it answers at `size`, as `adherence` expects."""
    if plugin.scope != "local":
        return extractor

    def at_size(*inputs: Tensor) -> Tensor:
        return to_value_size(extractor(*inputs), plugin, size)

    return at_size
