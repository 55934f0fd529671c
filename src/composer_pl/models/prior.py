"""The prior: from a caption to the CLIP embedding of a picture that it could describe.

It knows no plugin. A configuration names two conditions: one read from texts, whose value it is
given, and one of pictures, whose value it predicts; both must come from one CLIP.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from composer_pl.backbones.prior_transformer import PriorConfig, PriorShapes, PriorTransformer
from composer_pl.conditions.conditioner import check_names, check_probabilities
from composer_pl.conditions.discovery import describe, rebuild
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.errors import ComposerPLError, ConfigError, RepresentationError
from composer_pl.models.description import FORMAT, check_header, damaged, plain
from composer_pl.plugin.api import ConditionPlugin
from composer_pl.types import ConditionSignals

_TOLERANCE = 0.05  # of an embedding's length; half precision needs a hundredth of it
_DOING = "Building the prior"


class PriorModel(nn.Module):
    """A diffusion model of image embeddings given a caption (paper section 2.3; unCLIP, 2.2).

    Embeddings have length sqrt(width), which is unit variance a channel, on both sides. Samplers
    are written for pictures, so an embedding passes through them as one of width channels and one
    pixel.

    Args:
        backbone: Size of the transformer.
        process: Noise schedule and prediction target; the paper's is the cosine schedule and `x_0`.
        conditions: Two condition plugins by name.
        text: Name of the one that is given. Its value holds the sentence embedding in row 0, of
            length sqrt(width of the image embedding), and word embeddings below, zeros after
            the last.
        image: Name of the one that is predicted.

    Raises:
        ConfigError: A condition is missing or of another kind, they come from two CLIPs, or the
            variance is learned.
    """

    def __init__(
        self,
        backbone: PriorConfig,
        process: ProcessConfig,
        conditions: Mapping[str, ConditionPlugin],
        *,
        text: str = "caption",
        image: str = "semantics",
    ):
        super().__init__()
        self.config = backbone
        self.process_config = process
        self.plugins = dict(conditions)
        self.text, self.image = text, image
        self._check()
        self.process = GaussianDiffusion(process)
        rows, width = self.text_shape
        sizes = PriorShapes(embedding_width=self.width, text_tokens=rows, text_width=width)
        self.backbone = PriorTransformer(backbone, sizes)

    def _check(self) -> None:
        """Hold the two conditions to what the prior reads and predicts."""
        check_names(self.plugins)
        check_probabilities(self.plugins)
        if set(self.plugins) != {self.text, self.image} or self.text == self.image:
            raise ConfigError(
                f"{_DOING}: expected two conditions, {self.text!r} to read and {self.image!r} to "
                f"predict, found {', '.join(self.plugins) or 'none'}. "
                f"Next: correct model.conditions, or name them in model.text and model.image."
            )
        given, predicted = self.plugins[self.text], self.plugins[self.image]
        shape, target = given.spec.shape, predicted.spec.shape
        if given.inputs != ("caption",) or len(shape) != 2 or given.scope != "global":
            problem = f"{self.text!r} to be read from texts as a sentence row and word rows"
            found = f"{type(given).__name__} with values {shape} of {' and '.join(given.inputs)}"
        elif predicted.inputs != ("image",) or len(target) != 1 or predicted.randomized:
            problem = f"{self.image!r} to be one vector of a picture"
            found = f"{type(predicted).__name__} with values {target}"
        elif self.text_shape[0] < 2 or self.text_shape[1] < self.width:
            problem = f"sentences of {self.image!r}'s {self.width} numbers and words below them"
            found = f"values {shape} of {self.text!r}"
        elif given.agreement() != predicted.agreement():
            problem = "both conditions to come from one CLIP"
            found = f"{_facts(given)} for {self.text!r} and {_facts(predicted)} for {self.image!r}"
        elif self.process_config.variance != "fixed":
            problem = "process.variance to be fixed, as one embedding is predicted"
            found = repr(self.process_config.variance)
        else:
            return
        raise ConfigError(
            f"{_DOING}: expected {problem}, found {found}. Next: correct the model section."
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The condition that the prior is given; the one row of keep masks."""
        return (self.text,)

    @property
    def width(self) -> int:
        """Width of the image embedding."""
        return int(self.plugins[self.image].spec.shape[0])

    @property
    def text_shape(self) -> tuple[int, int]:
        """Rows and width of a caption's value."""
        rows, width = self.plugins[self.text].spec.shape
        return int(rows), int(width)

    def keep(self, names: tuple[str, ...] | list[str], samples: int) -> Bool[Tensor, "1 b"]:
        """A keep mask that keeps the caption of every sample, or of none."""
        return torch.full((1, samples), self.text in names)

    def sentence(self, text: Float[Tensor, "b rows width"]) -> Float[Tensor, "b d"]:
        """The caption's own embedding, in the space of image embeddings."""
        return text[:, 0, : self.width]

    def encode(self, values: Mapping[str, Tensor], keep: Bool[Tensor, "1 b"]) -> ConditionSignals:
        """Captions and keep mask -> what the transformer keeps of them; nothing of dropped ones.

        On a CPU columns are left out that no caption reaches, which changes nothing but the time.

        Args:
            values: The caption's value under its name; without it nothing is told.
            keep: One row.

        Raises:
            RepresentationError: A sentence embedding has another length than sqrt(width).
        """
        if self.text not in values:
            return ConditionSignals()
        value = values[self.text]
        sentence, words = self.sentence(value), value[:, 1:]
        check_length(sentence, doing="Reading a caption for the prior")
        if words.device.type == "cpu":  # elsewhere, a look at numbers would stall the queue
            reached = (words != 0).any(2).any(0).nonzero()
            words = words[:, : int(reached.max()) + 1 if len(reached) else 0]
        text, there = self.backbone.text(sentence, words, keep[0])
        return ConditionSignals(context=text, context_mask=there)

    def predict(
        self,
        x_t: Float[Tensor, "b d 1 1"],
        t: Int[Tensor, " b"] | Float[Tensor, " b"],
        signals: ConditionSignals,
    ) -> Float[Tensor, "b d 1 1"]:
        """The network's raw output; `process.predict` turns it into x_0 and eps."""
        flat = x_t.flatten(1)
        return self.backbone(flat, t, signals.context, signals.context_mask)[:, :, None, None]

    def loss(
        self,
        values: Mapping[str, Tensor],
        keep: Bool[Tensor, "1 b"],
        t: Int[Tensor, " draws"],
        eps: Float[Tensor, "draws d"],
    ) -> Float[Tensor, " draws"]:
        """The training loss of each draw, in float32.

        Captions are read once, whatever the number of draws: where they are long, a few draws a
        sample cost little more than one.

        Args:
            values: Captions and image embeddings of b samples under their names.
            keep: Which samples keep their caption.
            t: Timesteps, one or several a sample: draw j of sample i at place j * b + i.
            eps: Standard normal noise.

        Raises:
            RepresentationError: An embedding has another length than sqrt(width).
        """
        embedding = values[self.image]
        check_length(embedding, doing="Training the prior")
        copies = len(t) // len(embedding)
        x_0 = embedding.repeat(copies, 1)[:, :, None, None]
        noise = eps[:, :, None, None]
        x_t = self.process.q_sample(x_0, t, noise)
        raw = self.predict(x_t, t, _repeated(self.encode(values, keep), copies))
        return self.process.loss(raw.float(), x_0, x_t, t, noise)

    def describe(self) -> dict[str, Any]:
        """Everything but the weights, as plain data that JSON can hold."""
        return {
            "format": FORMAT,
            "kind": "prior",
            "backbone": plain(asdict(self.config)),
            "process": plain(asdict(self.process_config)),
            "conditions": {name: plain(describe(p)) for name, p in self.plugins.items()},
            "text": self.text,
            "image": self.image,
        }

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> "PriorModel":
        """Rebuild a prior with fresh weights from `describe()`, running no foreign code.

        Raises:
            CheckpointError: The description is not one, is damaged, or of another kind or format.
            UnknownConditionError: A plugin is not installed; the message names its package.
        """
        check_header(description, "prior")
        try:
            conditions = {name: rebuild(entry) for name, entry in description["conditions"].items()}
            return cls(
                PriorConfig(**description["backbone"]),
                ProcessConfig(**description["process"]),
                conditions,
                text=description["text"],
                image=description["image"],
            )
        except Exception as error:  # a foreign file reaches every constructor, of plugins too
            if isinstance(error, ComposerPLError) and not isinstance(error, ConfigError):
                raise  # a plugin that is not installed, say
            raise damaged(error) from error


def check_length(embedding: Float[Tensor, "b d"], *, doing: str) -> None:
    """Assert the one normalisation at a border; rows of zeros, which are no value, pass.

    Not under torch.compile, where a look at numbers would cut the graph, nor where there are none,
    nor in training on a GPU, where it would stall the queue at every step.

    Raises:
        RepresentationError: An embedding has another length.
    """
    device = embedding.device.type
    if torch.compiler.is_compiling() or device == "meta":
        return
    if torch.is_grad_enabled() and device != "cpu":
        return
    expected = embedding.shape[1] ** 0.5
    length = embedding.detach().float().norm(dim=1)
    right = ((length - expected).abs() <= _TOLERANCE * expected) | (length == 0)  # NaN is wrong
    if not bool(right.all()):
        raise RepresentationError(
            f"{doing}: expected CLIP embeddings of length {expected:.2f}, the root of their width, "
            f"found {float(length[~right][0]):.2f}. Next: extract them with the model's conditions."
        )


def _repeated(signals: ConditionSignals, copies: int) -> ConditionSignals:
    """The signals of a batch several times over, one after the other."""
    if copies == 1 or signals.context is None or signals.context_mask is None:
        return signals
    return ConditionSignals(
        context=signals.context.repeat(copies, 1, 1),
        context_mask=signals.context_mask.repeat(copies, 1),
    )


def _facts(plugin: ConditionPlugin) -> str:
    return ", ".join(plugin.agreement().values()) or "none named"
