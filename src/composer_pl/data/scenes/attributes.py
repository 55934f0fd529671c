"""Which objects a scene has: a joint table of all attributes whose margins stay even.

Exclusions and correlations remove or move mass in the joint table; iterative proportional fitting
(Deming and Stephan 1940) then brings the margin of each attribute back to uniform, as nearly as the
zeros permit. So no value is seen less often because pairs with it are held out.
"""

from bisect import bisect_right
from itertools import accumulate, product

import torch
from torch import Tensor

from composer_pl.data.scenes.draws import Draws
from composer_pl.data.scenes.rules import Pair, SceneRules, read_pair
from composer_pl.data.scenes.vocabulary import PATTERNS
from composer_pl.errors import ConfigError

Attributes = dict[str, str]
"""size, material, color, shape, pattern, second_color of one object."""

_ROUNDS = 300


class AttributeTable:
    """Draws objects' attributes under rules."""

    def __init__(self, rules: SceneRules):
        """Fit the table.

        Raises:
            ConfigError: When the rules contradict each other, so that no object is left.
        """
        self.rules = rules
        values = rules.values
        self.excluded = [read_pair(text) for text in rules.excluded]
        cells = [dict(zip(values, cell, strict=True)) for cell in product(*values.values())]
        self.cells = [cell for cell in cells if self._possible(cell)]
        if not self.cells:
            raise ConfigError(
                f"Describing scenes: expected at least one combination of attributes to be left, "
                f"found none after {len(self.excluded)} excluded pairs. Next: exclude fewer."
            )
        self.weights = _fit(self.cells, [(read_pair(t), p) for t, p in rules.correlated.items()])
        self._sums = list(accumulate(self.weights.tolist()))
        self._required = [self._column(text) for text in rules.required]

    def draw(self, draws: Draws) -> list[Attributes]:
        """Draw the objects of one scene."""
        low, high = self.rules.min_objects, self.rules.max_objects
        count = low + int(draws.uniform() * (high - low + 1))
        objects = [self._draw_one(draws, self.cells, self._sums) for _ in range(count)]
        if self._required:
            cells, sums = draws.choice(self._required)
            objects[0] = self._draw_one(draws, cells, sums)
        return objects

    def margin(self, attribute: str) -> dict[str, float]:
        """Return the probability of each value of an attribute."""
        margin = dict.fromkeys(self.rules.values[attribute], 0.0)
        for cell, weight in zip(self.cells, self.weights.tolist(), strict=True):
            margin[cell[attribute]] += weight
        return margin

    def _draw_one(self, draws: Draws, cells: list[Attributes], sums: list[float]) -> Attributes:
        place = min(bisect_right(sums, draws.uniform() * sums[-1]), len(cells) - 1)
        cell = dict(cells[place])
        pattern, second = draws.choice(PATTERNS), draws.uniform()
        if cell["material"] != "patterned":
            return {**cell, "pattern": "", "second_color": ""}
        others = self._second_colors(cell)
        return {**cell, "pattern": pattern, "second_color": others[int(second * len(others))]}

    def _second_colors(self, cell: Attributes) -> list[str]:
        return [
            color
            for color in self.rules.values["color"]
            if color != cell["color"] and not self._is_excluded({**cell, "color": color})
        ]

    def _possible(self, cell: Attributes) -> bool:
        if self._is_excluded(cell):
            return False
        return cell["material"] != "patterned" or bool(self._second_colors(cell))

    def _is_excluded(self, cell: Attributes) -> bool:
        return any(_has(cell, pair) for pair in self.excluded)

    def _column(self, text: str) -> tuple[list[Attributes], list[float]]:
        """Return the cells that have a required pair, and their running sums of weight."""
        pair = read_pair(text)
        chosen = [(c, w) for c, w in zip(self.cells, self.weights.tolist(), strict=True)]
        chosen = [(cell, weight) for cell, weight in chosen if _has(cell, pair)]
        if not chosen:
            raise ConfigError(
                f"Describing scenes: expected objects with the required pair {text!r}, but the "
                "excluded pairs and lists of values leave none. Next: drop one of the two."
            )
        # A correlation of probability 0 must not make a required pair impossible.
        floor = 1e-12
        return [cell for cell, _ in chosen], list(accumulate(w + floor for _, w in chosen))


def _has(cell: Attributes, pair: Pair) -> bool:
    return all(cell[attribute] == value for attribute, value in pair.items())


def _fit(cells: list[Attributes], correlated: list[tuple[dict[str, str], float]]) -> Tensor:
    """Return one weight a cell: even margins, then exact correlations; the sum is 1."""
    weights = torch.ones(len(cells), dtype=torch.float64) / len(cells)
    margins: list[list[Tensor]] = []
    for attribute in cells[0]:
        present = sorted({cell[attribute] for cell in cells})
        margins.append([_where([c[attribute] == value for c in cells]) for value in present])
    pairs: list[tuple[Tensor, Tensor, float]] = []
    for pair, probability in correlated:
        (first, value), _ = pair.items()
        together = _where([_has(cell, pair) for cell in cells])
        alone = _where([cell[first] == value and not _has(cell, pair) for cell in cells])
        if (probability > 0 and not len(together)) or (probability < 1 and not len(alone)):
            raise ConfigError(
                f"Describing scenes: expected {probability:.0%} of the {value} objects to be "
                f"{' '.join(pair.values())}, but excluded pairs or lists of values forbid it. "
                "Next: drop one of the two."
            )
        pairs.append((together, alone, probability))
    for _ in range(_ROUNDS):
        for groups in margins:
            for group in groups:
                weights[group] *= 1 / (len(groups) * weights[group].sum().clamp(min=1e-300))
        for together, alone, probability in pairs:
            mass = weights[together].sum() + weights[alone].sum()
            for group, share in ((together, probability), (alone, 1 - probability)):
                weights[group] *= share * mass / weights[group].sum().clamp(min=1e-300)
    return weights / weights.sum()


def _where(mask: list[bool]) -> Tensor:
    return torch.tensor(mask).nonzero().flatten()
