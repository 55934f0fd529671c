"""`Composer`: a trained model as a person uses it, to take pictures apart and make new ones."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image

from composer_pl.composing.cascade import Cascade
from composer_pl.composing.decomposer import Decomposer
from composer_pl.composing.identity import model_digest
from composer_pl.composing.mistakes import UnknownToModelError, usable_device
from composer_pl.composing.painter import Painter
from composer_pl.composing.parts import Parts
from composer_pl.composing.settings import reconfigured
from composer_pl.models.base import ComposerModel
from composer_pl.models.cards import ModelFacts
from composer_pl.models.export import read_facts
from composer_pl.models.hub import located, push_to_hub
from composer_pl.models.storage import load_model, load_upsampler, save_model
from composer_pl.models.upsampler import UpsamplerModel


class Composer(Painter):
    """A trained model with its extractors.

    Args:
        model: The model; moved to `device` and put into evaluation mode.
        device: Where to run.
        canvas: Side of the canvas that extractors see; None takes four times the model's side.
        settings: Arguments of conditions to extract with in place of those in training, by name,
            such as `{"sketch": {"edges": "canny"}}` where PiDiNet's weights are not at hand.
        upsampler: Enlarges what the model draws; several work one after the other (paper: two);
            None leaves pictures at the model's size.
        origins: Where `base`, `upsampler` and `upsampler-2` were loaded from, for the record.
        averaged: Whether averaged weights were asked for of a checkpoint, for the record.
        facts: What is known of the base model's licence and training, for its card.

    Raises:
        UserInputError: There is no such device, a setting is wrong, or the upsampler does not fit
            the model.
    """

    def __init__(
        self,
        model: ComposerModel,
        *,
        device: str | torch.device = "cpu",
        canvas: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        upsampler: UpsamplerModel | Sequence[UpsamplerModel] | None = None,
        origins: Mapping[str, str] | None = None,
        averaged: bool = True,
        facts: ModelFacts | None = None,
    ):
        place, side = usable_device(device), model.config.resolution
        decomposer = Decomposer(
            reconfigured(model.plugins, settings or {}),
            value_size=model.value_size(side, side),
            canvas=4 * side if canvas is None else canvas,
            device=place,
        )
        alone = isinstance(upsampler, UpsamplerModel)
        cascade = Cascade([upsampler] if alone else list(upsampler or ()), place)
        super().__init__(model, decomposer, cascade)
        self.origins = dict(origins or {})
        self.averaged = averaged
        self.facts = facts or ModelFacts()

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "cpu",
        averaged: bool = True,
        canvas: int | None = None,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        upsampler: str | Path | Sequence[str | Path] | None = None,
    ) -> "Composer":
        """Load a model folder or a checkpoint of `composer-pl fit`, and an upsampler to go with it.

        Args:
            path: The folder or file, the name of a shipped model, or `owner/name` on the Hub; see
                docs/models.md.
            device: Where to run.
            averaged: Take the averaged (EMA) weights of a checkpoint.
            canvas: See the class.
            settings: See the class.
            upsampler: Folder or file of the upsampler, or several in the order of their work; None
                composes at the model's size.

        Raises:
            CheckpointError: There is no model that can be read, or one of the other kind.
            UnknownConditionError: It needs a plugin that is not installed.
            UserInputError: There is no such device, a setting is wrong, or the upsampler does not
                fit the model.
        """
        usable_device(device)  # before a large file is read
        place = located(path)
        model = load_model(place, averaged=averaged)
        if upsampler is None or isinstance(upsampler, str | Path):
            upsampler = [upsampler] if upsampler else []
        names = [_stage(i) for i in range(len(upsampler))]
        return cls(
            model,
            device=device,
            canvas=canvas,
            settings=settings,
            upsampler=[load_upsampler(one, averaged=averaged) for one in upsampler],
            origins={"base": str(path)} | dict(zip(names, map(str, upsampler), strict=True)),
            averaged=averaged,
            facts=read_facts(place, averaged=averaged),
        )

    def save_pretrained(self, folder: str | Path, *, facts: ModelFacts | None = None) -> None:
        """Write the base model, with its card, as a folder that `from_pretrained` reads.

        Args:
            folder: Made when absent.
            facts: What its trainer states of licence and training; None states what was loaded.

        Raises:
            CheckpointError: The disk is full, or the folder is closed.
        """
        save_model(self.model, folder, facts=self.facts if facts is None else facts)

    def push_to_hub(self, repository: str, *, private: bool = True) -> str:
        """Upload the base model to the Hub as `owner/name`; see `composer_pl.models.hub`.

        Returns:
            The address of the upload.

        Raises:
            CheckpointError: The Hub did not take it.
            MissingDependencyError: huggingface_hub is missing.
        """
        with TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return push_to_hub(folder, repository, private=private)

    @cached_property
    def identity(self) -> dict[str, dict[str, str]]:
        """`base`, `upsampler`, `upsampler-2` as there are -> digests and where they came from.

        Where averaged weights were not asked for, `weights` is "raw".
        """
        stages = {_stage(i): model for i, model in enumerate(self.cascade.upsamplers)}
        raw = {} if self.averaged else {"weights": "raw"}
        return {
            name: {"sha256": model_digest(model), "origin": self.origins.get(name, ""), **raw}
            for name, model in {"base": self.model, **stages}.items()
        }

    def decompose(
        self,
        picture: str | Path | Image.Image,
        *,
        caption: str = "",
        seed: int = 0,
        names: Sequence[str] | None = None,
    ) -> Parts:
        """Take a picture apart; see `Decomposer.decompose`."""
        return self.decomposer.decompose(picture, caption=caption, seed=seed, names=names)

    def read(self, name: str, source: str | Path) -> Parts:
        """A value that a person supplies: hex colours, a drawn sketch, a text; see the plugin.

        Raises:
            UnknownConditionError: The model does not know the condition.
            UserInputError: The source is no legal value of it.
        """
        if name not in self.model.plugins:
            raise UnknownToModelError(name, self.names, doing="Reading a value by hand")
        plugin = self.decomposer.plugins[name]
        if plugin.inputs == ("caption",):  # through the extractor that is already loaded
            extract = self.decomposer.extraction.extractor(name, self.device)
            value = extract([str(source)])[0].cpu()
        else:
            value = plugin.read(source)
        facts = {name: self.decomposer.facts(name)}
        return Parts({name: value}, {name: str(source)}, facts)


def _stage(number: int) -> str:
    """How the record names an upsampler."""
    return "upsampler" if number == 0 else f"upsampler-{number + 1}"
