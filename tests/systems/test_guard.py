import lightning.pytorch as pl
import pytest
import torch
from tiny_training import Recorder, make_system, make_trainer

from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.systems.checkpoints import Checkpoints, list_checkpoints
from composer_pl.systems.guard import NonFiniteError


class Spoil(pl.Callback):
    """Puts a bad number into the third batch: into its picture, or into a gradient."""

    def __init__(self, where, value):
        self.where, self.value, self.batches = where, value, 0
        self.before = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.batches += 1
        if self.batches == 3 and self.where == "picture":
            batch["image"][0, 0, 0, 0] = self.value
        self.before = {k: v.clone() for k, v in pl_module.state_dict().items()}

    def on_after_backward(self, trainer, pl_module):
        if self.batches == 3 and self.where == "gradient":
            next(pl_module.parameters()).grad.view(-1)[0] = self.value


@pytest.mark.parametrize("where", ["picture", "gradient"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_number_stops_the_run_before_the_step_and_is_never_saved(
    fake_plugins, pictures, tmp_path, where, value
):
    system, spoil = make_system(), Spoil(where, value)
    trainer = make_trainer(tmp_path / "run", spoil, Recorder(), Checkpoints(every_n_steps=1))
    data = ComposerDataModule(
        str(pictures), canvas=32, resolution=16, batch_size=4, num_workers=0, val_fraction=0.0
    )
    with pytest.raises(NonFiniteError, match=r"Training step 2: a finite .* Next: "):
        trainer.fit(system, datamodule=data)
    assert all(torch.equal(v, spoil.before[k]) for k, v in system.state_dict().items())
    newest = list_checkpoints(tmp_path / "run" / "checkpoints")[0]
    assert newest.name == "step-00000002.ckpt"
