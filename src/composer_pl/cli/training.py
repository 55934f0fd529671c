"""The parser of a training configuration and the run that it describes. Imports torch."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from jsonargparse import ArgumentError
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.fabric.utilities.seed import max_seed_value, min_seed_value
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from composer_pl.cli.config_errors import explain, refuse_abbreviations
from composer_pl.cli.fit import run_folder, say
from composer_pl.cli.kinds import KINDS, OPTION, kind_of_run
from composer_pl.cli.output import disk_errors
from composer_pl.cli.policy import restrict_imports
from composer_pl.cli.resuming import AUTO, checkpoint_of, finished, how_to_go_on
from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.errors import ComposerPLError, ConfigError, UserInputError
from composer_pl.files import replacing
from composer_pl.systems.checkpoints import (
    FOLDER,
    AtomicCheckpointIO,
    Checkpoints,
    list_checkpoints,
)
from composer_pl.systems.curve import LossCurve
from composer_pl.systems.ema import EMA
from composer_pl.systems.guard import FiniteGuard
from composer_pl.systems.previews import Previews
from composer_pl.systems.probe import Probe
from composer_pl.systems.progress import Progress
from composer_pl.systems.signals import GracefulStop, stopped_by

TRAINER_DEFAULTS = {
    "use_distributed_sampler": False,  # our sampler knows its rank
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "log_every_n_steps": 50,
}


class SaveRunConfig(SaveConfigCallback):
    """Write the whole configuration to `config.yaml` of the run folder when fitting."""

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Only training writes it: evaluating a run must not change its record."""
        if stage == "fit":
            super().setup(trainer, pl_module, stage)

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write it, without the checkpoint that this start resumed from."""
        config = self.config.clone()
        if config["ckpt_path"] != AUTO:
            config["ckpt_path"] = None
        folder = Path(trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / "config.yaml") as path:
            self.parser.save(config, path, skip_unset=False, overwrite=True, multifile=False)


class ComposerCLI(LightningCLI):
    """Our sections of a configuration: kind, model, data, trainer, and one for each callback.

    Args:
        command: `fit`, `validate`, `test`, `predict`, or `plan` to parse only.
        argv: The words after the command.
        prog: Shown in the help.
    """

    def __init__(self, command: str, argv: list[str], *, prog: str = ""):
        self.command = command
        self.argv = argv
        self.kind = kind_of_run(argv)
        restrict_imports()
        super().__init__(
            KINDS[self.kind].load_system(),
            ComposerDataModule,
            save_config_callback=SaveRunConfig,
            save_config_kwargs={"save_to_log_dir": False},
            trainer_defaults=TRAINER_DEFAULTS,
            seed_everything_default=0,
            parser_kwargs={"exit_on_error": False, "prog": prog or f"composer-pl {command}"},
            args=argv,
            run=False,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The kind of model, the one seed of a run, and the checkpoint."""
        parser.add_argument(
            f"--{OPTION}",
            choices=list(KINDS),
            default=self.kind,
            help="What is trained; decides what the section `model` takes.",
        )
        parser.add_argument(
            "--seed_everything",
            type=int,
            default=0,
            help="Seed of initial weights, data order, crops, dropout and noise.",
        )
        parser.add_argument(
            "--ckpt_path",
            type=str | None,
            default=None,
            help="Checkpoint to continue from or to use; `last` is the newest of the run folder, "
            "`auto` too, or a new start where there is none.",
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Callbacks that every run has, each with its own section; the numbers shared by two."""
        parser.add_lightning_class_args(EMA, "ema")  # type: ignore[arg-type]
        parser.add_lightning_class_args(Previews, "previews")  # type: ignore[arg-type]
        parser.add_lightning_class_args(Probe, "probe")  # type: ignore[arg-type]
        parser.add_lightning_class_args(Checkpoints, "checkpoints")  # type: ignore[arg-type]
        parser.link_arguments("seed_everything", "model.seed")
        parser.link_arguments("seed_everything", "data.seed")
        if any(action.dest == "model.backbone.resolution" for action in parser._actions):
            parser.link_arguments("model.backbone.resolution", "data.resolution")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; an error becomes one line with the nearest name.

        Raises:
            ConfigError: The configuration or an override is wrong.
        """
        refuse_abbreviations(parser, self.argv)
        try:
            self.config = parser.parse_args(args)
        except (ArgumentError, ValueError, TypeError, OSError, ImportError) as error:
            raise explain(error, parser, args) from error
        if not min_seed_value <= self.config["seed_everything"] <= max_seed_value:
            raise ConfigError(
                f"Reading the configuration: seed_everything must be in {min_seed_value}.."
                f"{max_seed_value}, found {self.config['seed_everything']}. Next: correct it."
            )

    def instantiate_classes(self) -> None:
        """Build model, data and trainer; `plan` builds them itself, in part.

        Raises:
            ConfigError: A constructor refuses its arguments.
        """
        if self.command == "plan":
            return
        try:
            super().instantiate_classes()
        except MisconfigurationException as error:
            raise ConfigError(
                f"Setting up the trainer: {' '.join(str(error).split()).rstrip('.')}. "
                f"Next: correct it under trainer; --help-all lists every option."
            ) from error
        except (ArgumentError, ValueError, TypeError, ImportError) as error:
            if isinstance(error, ComposerPLError):
                raise
            raise explain(error, self.parser, self.argv) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """A trainer with our checkpoint files, progress line, loggers and run folder."""
        section = self.config_init["trainer"]
        folder = run_folder(section["default_root_dir"], [str(c) for c in self.config_files()])
        section["default_root_dir"] = str(folder)
        if section["logger"] in (None, True) and not section["fast_dev_run"]:
            fitting = self.command == "fit"
            section["logger"] = [
                TensorBoardLogger(folder, name="tensorboard", version="") if fitting else None,
                CSVLogger(folder, name="csv" if fitting else f"csv-{self.command}"),
            ]
            section["logger"] = [logger for logger in section["logger"] if logger is not None]
        plugins = section["plugins"] or []
        section["plugins"] = [
            *(plugins if isinstance(plugins, list) else [plugins]),
            AtomicCheckpointIO(),
        ]
        given = section["callbacks"] or []
        section["callbacks"] = [
            *(given if isinstance(given, list) else [given]),
            FiniteGuard(),
            LossCurve(),
            GracefulStop(),
        ]
        if section["enable_progress_bar"] is not False:
            section["callbacks"].append(Progress())
        return super().instantiate_trainer(**kwargs)

    def config_files(self) -> list[Any]:
        """The `--config` files, in the order given."""
        return [path for path in (self.config.get("config") or []) if path is not None]


def train(command: str, argv: list[str]) -> int:
    """Parse, build and run; see `composer_pl.cli.fit.run`."""
    cli = ComposerCLI(command, argv)
    trainer, model, data = cli.trainer, cli.model, cli.datamodule
    if torch.cuda.is_available():
        torch.set_float32_matmul_precision("high")
    folder = Path(trainer.default_root_dir)
    given = cli.config["ckpt_path"]
    ckpt = checkpoint_of(command, given, folder)
    if command == "fit":
        if ckpt is None and list_checkpoints(folder / FOLDER) and not trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UserInputError(
                f"Starting a run in {folder}: an empty folder was expected, found the checkpoints "
                f"of an earlier run. Next: continue it with --ckpt_path last, or write elsewhere "
                f"with --trainer.default_root_dir DIR."
            )
        if done := finished(given, ckpt, trainer.max_steps, folder):
            say(done)
            return 0
        if trainer.is_global_zero:
            count = sum(p.numel() for p in model.model.parameters())
            start = f"continuing from {ckpt}" if ckpt else "starting"
            say(f"{count / 1e6:.2f} M parameters, {model.about}; "
                f"{start}, writing to {folder}")  # fmt: skip
        with disk_errors(folder):
            trainer.fit(model, datamodule=data, ckpt_path=ckpt, weights_only=True)
    elif command == "predict":
        with disk_errors(folder):
            trainer.predict(
                model, datamodule=data, ckpt_path=ckpt, return_predictions=False, weights_only=True
            )
    else:
        method = trainer.validate if command == "validate" else trainer.test
        with disk_errors(folder):
            results = method(model, data, ckpt_path=ckpt, verbose=False, weights_only=True)
        if trainer.is_global_zero:
            for name, value in sorted((results or [{}])[0].items()):
                print(f"{name} {value:.6f}")
    number = stopped_by(trainer)
    if number and trainer.is_global_zero:
        step, auto = trainer.global_step, given == AUTO
        say(how_to_go_on(number, step, trainer.max_steps, argv, auto))
    return 128 + number if number else 0
