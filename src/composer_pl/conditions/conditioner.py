"""Many conditions together: run their encoders, drop, and fuse into one `ConditionSignals`."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from composer_pl.errors import ConfigError, UnknownConditionError
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.types import BackboneDims, ConditionSignals


class Conditioner(nn.Module):
    """The trainable side of all conditions of a model (paper section 2.2).

    Time vectors are summed, context tokens concatenated, hints summed. Beside them a learned vector
    for each condition is added to the time embedding of the samples that keep it: the network is
    told which conditions are present, so that a missing palette is not the same as an empty one.
    Differs from the paper: it does not say how, or whether, absence is signalled.

    Args:
        plugins: The conditions by name; their order is the order of `keep` rows.
        dims: What the backbone wants.

    Raises:
        ConfigError: A name is no identifier, a `drop_prob` is no probability, or two conditions
            disagree on a shared fact.
    """

    def __init__(self, plugins: Mapping[str, ConditionPlugin], dims: BackboneDims):
        super().__init__()
        check_names(plugins)
        check_probabilities(plugins)
        check_agreement(plugins)
        self.names = tuple(plugins)
        self.encoders = nn.ModuleDict(
            {name: plugin.build_encoder(dims) for name, plugin in plugins.items()}
        )
        self.presence = nn.Parameter(torch.zeros(len(plugins), dims.time_dim))

    def forward(self, values: Mapping[str, Tensor], keep: Bool[Tensor, "n b"]) -> ConditionSignals:
        """Encode and fuse.

        Args:
            values: A batch of values for each condition; one that is left out counts as dropped.
                Rows that are not kept may hold anything finite.
            keep: Which samples keep which conditions, rows in the order of `names`.

        Returns:
            The fused signals; a sample that keeps nothing gets zeros and no context token.

        Raises:
            UnknownConditionError: A value is of a condition that this model does not have; it
                would count as dropped.
        """
        for name in values:
            if name not in self.encoders:
                raise UnknownConditionError(name, self.names, doing="Encoding conditions")
        if len(values) < len(self.names):  # else no numbers need to reach the device
            given = torch.tensor([name in values for name in self.names], device=keep.device)
            keep = keep & given[:, None]
        time = keep.T.to(self.presence.dtype) @ self.presence
        contexts: list[Tensor] = []
        masks: list[Tensor] = []
        hint: Tensor | None = None
        for name, kept in zip(self.names, keep, strict=True):
            if name not in values:
                continue
            signals: ConditionSignals = self.encoders[name](values[name], kept)
            if signals.time is not None:
                time = time + signals.time
            if signals.context is not None and signals.context_mask is not None:
                contexts.append(signals.context)
                masks.append(signals.context_mask)
            if signals.hint is not None:
                hint = signals.hint if hint is None else hint + signals.hint
        return ConditionSignals(
            time=time,
            context=torch.cat(contexts, 1) if contexts else None,
            context_mask=torch.cat(masks, 1) if masks else None,
            hint=hint,
        )


def check_names(plugins: Mapping[str, ConditionPlugin]) -> None:
    """Names become module names, file suffixes and option names, so they must be identifiers."""
    for name in plugins:
        if not name.isidentifier() or hasattr(nn.ModuleDict, name):
            raise ConfigError(
                f"Naming the conditions of a model: a name must be a Python identifier that "
                f"torch's ModuleDict does not use itself, found {name!r}. "
                f"Next: rename the key under model.conditions."
            )


def check_probabilities(plugins: Mapping[str, ConditionPlugin]) -> None:
    """Refuse a `drop_prob` that is no probability; it would silently mean never or always."""
    for name, plugin in plugins.items():
        if not 0 <= plugin.drop_prob <= 1:
            raise ConfigError(
                f"Assembling the conditions of a model: the drop_prob of {name} must be from 0 to "
                f"1, found {plugin.drop_prob}. Next: correct it under model.conditions.{name}."
            )


def check_agreement(plugins: Mapping[str, ConditionPlugin]) -> None:
    """Refuse conditions that contradict each other on a fact that all must share."""
    seen: dict[str, tuple[str, str]] = {}
    for name, plugin in plugins.items():
        for fact, value in plugin.agreement().items():
            first, expected = seen.setdefault(fact, (name, value))
            if value != expected:
                raise ConfigError(
                    f"Assembling the conditions of a model: {first} and {name} must use the same "
                    f"{fact}, found {expected!r} and {value!r}. "
                    f"Next: give both the same value under model.conditions."
                )
