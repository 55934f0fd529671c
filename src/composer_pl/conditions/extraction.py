"""Decomposition: run frozen extractors on the samples of a batch that keep their condition.

The drop mask is drawn first and only what is kept is extracted, which halves the cost at the
paper's probabilities and changes nothing else, since a dropped value never reaches the network.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from composer_pl.conditions.cache import ValueCache
from composer_pl.plugin.api import ConditionPlugin, Extractor
from composer_pl.plugin.values import check_value, finished, to_canvas, value_dtype, value_shape
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
        return value_shape(self.plugins[name].spec, self.value_size)

    @torch.no_grad()
    def extract(self, batch: Batch, keep: Bool[Tensor, "n b"]) -> dict[str, Tensor]:
        """Values of all conditions; rows that are not kept are zeros and cost nothing.

        Args:
            batch: See `composer_pl.types.Batch`; values are made on the device of `source`.
            keep: Rows in the order of `plugins`.

        Returns:
            For each condition `(b, *spec.shape)` in the dtype of its spec.

        Raises:
            RepresentationError: An extractor, or a value that the data set supplies, contradicts
                the declared spec.
        """
        device = batch["source"].device
        given = batch.get("conditions", {})
        values: dict[str, Tensor] = {}
        for name, kept in zip(self.plugins, keep.cpu(), strict=True):
            rows = kept.nonzero()[:, 0]
            dtype = value_dtype(self.plugins[name].spec)
            value = torch.zeros(len(kept), *self.value_shape(name), device=device, dtype=dtype)
            if len(rows):
                chosen = rows.to(device)
                if name in given:
                    value[chosen] = self._supplied(name, given[name][chosen].to(value))
                else:
                    value[chosen] = self._values(name, batch, rows).to(device)
            values[name] = value
        return values

    def _supplied(self, name: str, value: Tensor) -> Tensor:
        """Values of the data set, after holding them to the spec."""
        check_value(
            value,
            self.plugins[name].spec,
            (len(value), *self.value_shape(name)),
            doing=f"Taking the condition {name!r} from the data set",
            advice="correct the data set, or leave the values out to extract them",
        )
        return value

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
            answer = extractor(*inputs)
        return finished(answer, plugin, self.value_size, rows=len(rows), name=name)

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
