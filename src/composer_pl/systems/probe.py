"""A live probe: is each condition obeyed, while the model trains?

The training loss hides it: a model may obey a sketch and ignore the palette at the same loss. Every
so many steps the probe draws the same few held-out pictures from each condition alone, with the
averaged weights and the same noise every time, and scores them with the condition's own measure
beside a floor and a ceiling; see `composer_pl.systems.obedience`.

It logs, for each condition NAME: `probe/NAME/adherence` (mean score against the pictures' own
values), `probe/NAME/floor` (the same pictures against values of other pictures),
`probe/NAME/ceiling` (the true pictures at the model's side), `probe/NAME/way` with `way_low` and
`way_high` (share of the way from floor to ceiling, with its interval over pictures); and
`probe/seconds`. In words it says when a condition is being ignored or forgotten.

One probe costs `pictures` x conditions pictures of `steps` network evaluations (twice as many when
guided), and up to 16 extractions of each. It never touches the training's own random draws.
"""

import logging
import time
from dataclasses import replace
from math import isfinite
from typing import Any

import lightning.pytorch as pl

from composer_pl.errors import ConfigError
from composer_pl.models.recipe import recipe_to_dict
from composer_pl.systems.diffusion import DiffusionSystem
from composer_pl.systems.obedience import LEAST_PICTURES, Track, mean_of
from composer_pl.systems.probe_set import ProbeSet, Scores, draw_alone, make_probe_set, scored

_logger = logging.getLogger(__name__)

_ADVICE = {
    "ignored": "train on if the run is young; else lower drop_prob of model.conditions.{name}, so "
    "that it is kept more often, or look at its encoder",
    "forgotten": "go back to an earlier checkpoint with a lower learning rate, or lower drop_prob "
    "of model.conditions.{name}",
}


class Probe(pl.Callback):
    """Score how well each condition alone is obeyed every so many steps, and warn in words.

    Args:
        every_n_steps: Optimiser steps between two probes; 0 probes never.
        pictures: How many held-out pictures, the first of the validation set; at least 4.
        steps: Network evaluations of a picture; the rest of the recipe is `model.sampling`.
        seed: Of the noise that samples start from.
        patience: Probes in a row at the floor after which a condition counts as ignored.
    """

    def __init__(
        self,
        every_n_steps: int = 0,
        pictures: int = 16,
        steps: int = 10,
        seed: int = 0,
        patience: int = 3,
    ):
        for name, value, least in (
            ("every_n_steps", every_n_steps, 0),
            ("pictures", pictures, LEAST_PICTURES),
            ("steps", steps, 1),
            ("patience", patience, 1),
        ):
            if value < least:
                raise ConfigError(
                    f"Reading probe.{name}: at least {least} was expected, found {value}. "
                    f"Next: correct probe.{name}."
                )
        self.every_n_steps = every_n_steps
        self.pictures = pictures
        self.steps = steps
        self.seed = seed
        self.patience = patience
        self.tracks: dict[str, Track] = {}
        self._held: ProbeSet | None = None
        self._probed_step = -1
        self._recipe: dict[str, Any] = {}

    # -- Lightning's hooks -------------------------------------------------------------------------

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse a model whose conditions cannot be given alone, and see how it is sampled.

        Raises:
            ConfigError: The probe is on, and the model is no base model.
        """
        if isinstance(pl_module, DiffusionSystem):
            self._recipe = recipe_to_dict(replace(pl_module.sampling, steps=self.steps))
            del self._recipe["max_batch"]  # changes no picture
        if stage == "fit" and self.every_n_steps and not isinstance(pl_module, DiffusionSystem):
            raise ConfigError(
                "Setting up the probe: a base model was expected, whose conditions can be given "
                "alone, found another kind. Next: leave the section probe out."
            )

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say what a probe costs; what was probed before an interruption is not probed again."""
        self._held = None
        self._probed_step = trainer.global_step
        if self._on(trainer) and isinstance(pl_module, DiffusionSystem):
            drawn = self.pictures * len(pl_module.model.names)
            branches = 1 if pl_module.sampling.guidance == 1 else 2
            self._say(
                trainer,
                logging.INFO,
                f"Probe every {self.every_n_steps} steps: {drawn} pictures, {self.pictures} from "
                f"each condition alone; {drawn * self.steps * branches} network evaluations.",
            )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Probe after the optimiser step that completes the interval, on the first process."""
        step = trainer.global_step
        due = self._on(trainer) and step % self.every_n_steps == 0 and step != self._probed_step
        if not due or not isinstance(pl_module, DiffusionSystem):
            return
        self._probed_step = step
        if trainer.is_global_zero:
            self._probe(trainer, pl_module, step)
        trainer.strategy.barrier()  # the others wait here, not in the next step's gradients

    def state_dict(self) -> dict[str, Any]:
        """The history, for checkpoints; nothing when there is none."""
        if not self.tracks:
            return {}
        tracks = {name: track.to_dict() for name, track in self.tracks.items()}
        return {"settings": self._settings, "tracks": tracks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the history up; one of other pictures, noise or sampling is left behind."""
        if not state_dict or not self.every_n_steps:
            return
        before, now = state_dict["settings"], self._settings
        changed = [name for name in now if before.get(name, now[name]) != now[name]]
        if changed:
            told = ", ".join(f"{name} was {before[name]} and is {now[name]}" for name in changed)
            _logger.info("The probe begins a new history: %s.", told)
            return
        self.tracks = {name: Track.from_dict(data) for name, data in state_dict["tracks"].items()}

    # -- one probe ---------------------------------------------------------------------------------

    @property
    def _settings(self) -> dict[str, Any]:
        """What scores depend on: a history of other settings cannot be gone on with."""
        return {"pictures": self.pictures, "seed": self.seed, **self._recipe}

    def _on(self, trainer: pl.Trainer) -> bool:
        return bool(self.every_n_steps) and not trainer.fast_dev_run  # type: ignore[attr-defined]

    def _probe(self, trainer: pl.Trainer, system: DiffusionSystem, step: int) -> None:
        began = time.monotonic()
        if self._held is None:
            self._held = make_probe_set(trainer, system, self.pictures)
            for name, reason in self._held.reasons.items():
                self._say(
                    trainer,
                    logging.INFO,
                    f"The probe leaves the condition {name!r} out: {reason.rstrip('.')}.",
                )
        held = self._held
        drawn = draw_alone(trainer, system, held, steps=self.steps, seed=self.seed)
        logged: dict[str, float] = {}
        for name, pictures in drawn.items():
            scores = scored(system, name, pictures, held.values[name][held.rows[name]])
            logged |= self._enter(trainer, name, step, scores, held.ceilings[name])
        logged["probe/seconds"] = time.monotonic() - began
        for logger in trainer.loggers:
            logger.log_metrics(logged, step=step)

    def _enter(
        self, trainer: pl.Trainer, name: str, step: int, scores: Scores, ceiling: Scores
    ) -> dict[str, float]:
        """Enter a condition's scores, warn where there is reason to, and name them for logs."""
        track = self.tracks.setdefault(name, Track())
        if track.gains and len(track.gains[-1]) != len(scores.own):  # other held-out data
            self.tracks[name] = track = Track(said=track.said)
        track.length = mean_of(ceiling.gains).value
        track.add(step, scores.gains)
        word, text = track.verdict(self.patience)
        what = f"Step {step}: the condition {name!r} is"
        if word in _ADVICE:
            advice = _ADVICE[word].format(name=name)
            self._say(trainer, logging.WARNING, f"{what} being {word}: {text}. Next: {advice}.")
        elif word:
            self._say(trainer, logging.INFO, f"{what} {word} now: {text}.")
        way = track.way()
        numbers = {
            "adherence": float(scores.own.nanmean()),
            "floor": float(scores.floor.nanmean()),
            "ceiling": float(ceiling.own.nanmean()),
            "way": way.value,
            "way_low": way.low,
            "way_high": way.high,
        }
        return {f"probe/{name}/{key}": value for key, value in numbers.items() if isfinite(value)}

    def _say(self, trainer: pl.Trainer, level: int, text: str) -> None:
        if trainer.is_global_zero:
            _logger.log(level, "%s", text)
