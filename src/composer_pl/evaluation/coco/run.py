"""One run of the protocol: what is to be done, block by block, by one process or by many."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from composer_pl.composing.composer import Composer
from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco import protocol
from composer_pl.evaluation.coco.blocks import Block, Shard
from composer_pl.evaluation.coco.captions import CaptionList, choose_captions, stored_captions
from composer_pl.evaluation.coco.drawing import CaptionArtist
from composer_pl.evaluation.coco.generation import Generation
from composer_pl.evaluation.coco.networks import Scorer, load_scorer
from composer_pl.evaluation.coco.reference import Reference
from composer_pl.evaluation.coco.settings import CocoSettings
from composer_pl.evaluation.coco.split import CocoSplit, read_split
from composer_pl.models.prior import PriorModel
from composer_pl.models.storage import load_prior

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Task:
    """A block of drawn pictures, or of the reference where there is no generation."""

    generation: Generation | None
    block: Block


class CocoRun:
    """The protocol with a model, ready to draw and to be scored.

    Args:
        settings: What to measure.
        artist: The model; None loads the one of the settings.
        scorers: The networks; None loads those of the settings.

    Raises:
        UserInputError: The run is not the protocol and nobody asked for another one, the root or
            the caption list cannot be used, the folder holds another run, or the model reads no
            captions.
        CheckpointError: A model cannot be read.
    """

    def __init__(
        self,
        settings: CocoSettings,
        *,
        artist: CaptionArtist | None = None,
        scorers: Sequence[Scorer] | None = None,
    ):
        self.settings = settings
        self.split: CocoSplit = read_split(settings.root, settings.split)
        self.captions: CaptionList = self._captions()
        self.artist = artist or load_artist(settings)
        self.artist.check(settings.recipe)
        manner = settings.manners()[-1]  # with the prior, where there is one
        self.departures = [
            *protocol.departures(self.split, self.captions, side=self.artist.side),
            *protocol.sampling_departures(manner, enlarged=self.artist.composer.factor > 1),
        ]
        protocol.hold_to_protocol(self.departures, asked=settings.not_the_protocol)
        self.scorers: list[Scorer] = list(
            [load_scorer(spec, self.artist, device=settings.device) for spec in settings.networks]
            if scorers is None
            else scorers
        )
        folder = settings.folder
        self._check_numbers()
        self._open: list[_Task] | None = None
        self.reference = Reference(
            folder=folder / "reference",
            split=self.split,
            side=self.artist.side,
            block=settings.block,
        )
        self.generations = [
            Generation(
                folder=folder / "drawn" / manner.name,
                captions=self.captions,
                manner=manner,
                keep=settings.keep,
                block=settings.block,
            )
            for manner in settings.manners()
        ]

    @cached_property
    def feature_scorers(self) -> list[Scorer]:
        """The networks that see the reference too."""
        return [scorer for scorer in self.scorers if scorer.kind == "features"]

    def begin(self) -> None:
        """Make the folders, or go on with a run that was begun in the same way.

        Raises:
            UserInputError: It was begun in another way.
        """
        path, own = self.settings.folder / "captions.json", self.captions
        if path.is_file():
            stored = stored_captions(path, self.split)
            if stored.digest != own.digest:
                raise UserInputError(
                    f"Measuring on COCO: expected the {len(stored)} captions of seed {stored.seed} "
                    f"that {path} lists, found {len(own)} of seed {own.seed}. Next: give another "
                    f"--out, or remove that folder."
                )
        for generation in self.generations:
            generation.begin(self.artist, self.scorers)
        self.reference.begin()
        own.save(path)

    def work(self, shard: Shard | None = None, progress: Progress | None = None) -> None:
        """Draw and look at all blocks of a shard that are not done yet.

        Args:
            shard: One of several processes; None does everything.
            progress: Called with (finished blocks, all blocks) of the shard.
        """
        tasks = list(self._tasks(shard or Shard()))
        left = [task for task in tasks if not self._is_done(task)]
        for number, task in enumerate(left, start=len(tasks) - len(left)):
            if progress is not None:
                progress(number, len(tasks))
            if self._is_done(task):  # by another process meanwhile
                continue
            if task.generation is None:
                self.reference.work(task.block, self.feature_scorers)
            else:
                task.generation.work(task.block, self.artist, self.scorers)
        if progress is not None:
            progress(len(tasks), len(tasks))

    def done(self) -> tuple[int, int]:
        """Finished blocks and all blocks, by what lies on the disk.

        A block that was seen to be finished is not looked for again.
        """
        tasks = list(self._tasks(Shard()))
        looked_for = tasks if self._open is None else self._open
        self._open = [task for task in looked_for if not self._is_done(task)]
        return len(tasks) - len(self._open), len(tasks)

    def finish(self) -> None:
        """Hold the work to be whole, and remove what killed processes left; nobody may be at work.

        Raises:
            UserInputError: Blocks are missing.
        """
        finished, total = self.done()
        if finished < total:
            raise UserInputError(
                f"Scoring on COCO: expected {total} finished blocks, found {finished}. "
                f"Next: give the command again without --shard, which does the rest."
            )
        for generation in self.generations:
            generation.sweep()
        self.reference.sweep()

    def _tasks(self, shard: Shard) -> Iterator[_Task]:
        """The tasks of a shard; the reference comes first, so that a broken file is told soon."""
        every: list[_Task] = []
        if self.feature_scorers:
            every += [_Task(None, block) for block in self.reference.blocks()]
        every += [
            _Task(generation, block)
            for generation in self.generations
            for block in generation.blocks()
        ]
        yield from every[shard.index :: shard.count]

    def _is_done(self, task: _Task) -> bool:
        if task.generation is None:
            return self.reference.is_done(task.block, self.feature_scorers)
        return task.generation.is_done(task.block, self.scorers)

    def _check_numbers(self) -> None:
        """Distances are of sets: a single picture has no spread."""
        captions, pictures = len(self.captions), len(self.split.pictures)
        if self.feature_scorers and min(captions, pictures) < 2:
            raise UserInputError(
                f"Measuring on COCO: expected at least 2 captions and 2 pictures to compare with, "
                f"found {captions} and {pictures}. Next: ask for more with -n, or for CLIP scores "
                f"alone with --network."
            )

    def _captions(self) -> CaptionList:
        settings = self.settings
        if settings.caption_file is not None:
            listed = stored_captions(settings.caption_file, self.split)
            if settings.captions not in (None, len(listed)):
                raise UserInputError(
                    f"Choosing captions: expected either a number or a stored list, found "
                    f"{settings.captions} and a list of {len(listed)}. Next: leave one out."
                )
            return listed
        described = len({caption.image_id for caption in self.split.captions})
        count = (
            min(protocol.CAPTIONS, described) if settings.captions is None else settings.captions
        )
        return choose_captions(self.split, count=count, seed=settings.caption_seed)


def load_artist(settings: CocoSettings) -> CaptionArtist:
    """The model of the settings, with its upsamplers and prior.

    Raises:
        CheckpointError: One cannot be read.
        UserInputError: They do not fit each other, there is no such device, or the model reads no
            captions.
    """
    composer = Composer.from_pretrained(
        settings.ckpt,
        device=settings.device,
        averaged=settings.averaged,
        upsampler=list(settings.upsampler) or None,
    )
    prior: PriorModel | None = None
    if settings.prior is not None:
        prior = load_prior(settings.prior, averaged=settings.averaged)
    return CaptionArtist(composer, prior)


def on_device(settings: CocoSettings, device: str) -> CocoSettings:
    """The same settings for another device."""
    return replace(settings, device=device)
