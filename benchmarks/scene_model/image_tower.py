"""Teach the tiny CLIP's image tower more; its text tower stays as it is.

So captions keep their sentences and words, and what was trained on them stays right, while the
image embedding, which is `semantics`, comes to hold more of what captions tell. It learns from a
`Bank`: its targets have the 64 px that the tower reads, its captions their embeddings.
"""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bank import Bank
from clip import FILE, MOST_SCALE, clip_optimizer, load_clip, save_clip
from install_weights import PLUGINS
from jaxtyping import Float
from torch import Tensor
from varied import moved, toned

SHIPPED = PLUGINS / "caption/src/composer_pl_caption/weights" / FILE


class ImageTeacher:
    """The image tower of a CLIP, and its further training.

    Args:
        source: File of both towers, as `clip.save_clip` writes it.
        device: Where to train; bfloat16 autocast on CUDA, float32 elsewhere.
    """

    def __init__(self, source: Path = SHIPPED, device: torch.device | str = "cpu"):
        from composer_pl_caption.clip import build_clip
        from composer_pl_caption.clip_models import MODELS

        self.device, sizes = torch.device(device), MODELS["tiny-scenes"]
        self.state = load_clip(source)
        network: Any = build_clip(sizes)
        network.load_state_dict({name: value.float() for name, value in self.state.items()})
        self.visual = network.visual.to(self.device)
        self.scale = network.logit_scale.detach().to(self.device).requires_grad_(True)
        self.mean, self.std = (
            torch.tensor(part, device=self.device)[:, None, None]
            for part in (sizes.mean, sizes.std)
        )
        self.width = sizes.embed_dim

    def __call__(self, image: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b d"]:
        """Pictures in [-1, 1] -> embeddings of length 1."""
        half = self.device.type == "cuda" and torch.is_grad_enabled()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            found = self.visual(((image + 1) / 2 - self.mean) / self.std)
        return F.normalize(found.float(), dim=1)

    def train(
        self,
        bank: Bank,
        *,
        steps: int = 10**6,
        seconds: float = float("inf"),
        batch: int = 1024,
        lr: float = 1e-3,
        warmup: int = 100,
        weight_decay: float = 0.1,
        seed: int = 0,
        log: Callable[[str], None] = print,
    ) -> dict[str, Any]:
        """Train with CLIP's loss against the sentences' embeddings.

        Args:
            bank: On the device.
            steps: Most optimizer steps.
            seconds: Most seconds; the rate falls to zero by whichever ends first.
            batch: Scenes a step, each with one of its captions, drawn anew.
            lr: Highest learning rate of AdamW; it warms up and falls along a cosine.
            warmup: Steps of the warm-up.
            weight_decay: Of matrices.
            seed: Of order and variations.
            log: Told the mean loss about every five seconds.

        Returns:
            Steps, batch, seconds, and the mean loss of the last entry of the log.
        """
        parameters = [*self.visual.parameters(), self.scale]
        optimizer = clip_optimizer(parameters, lr=lr, weight_decay=weight_decay)
        generator = torch.Generator(self.device).manual_seed(seed)
        sentences = F.normalize(bank.fixed["caption"][:, 0, : self.width].float(), dim=1)
        right = torch.arange(batch, device=self.device)
        self.visual.train()
        total, since, mean = torch.zeros((), device=self.device), 0, float("nan")
        began = told = time.monotonic()
        step = 0
        while step < steps and (now := time.monotonic()) - began < seconds:
            progress = max(step / steps, (now - began) / seconds)
            for group in optimizer.param_groups:
                fall = 0.5 * (1 + math.cos(math.pi * progress))
                group["lr"] = lr * min(1.0, (step + 1) / warmup) * fall
            rows, which = (
                torch.randint(most, (batch,), device=self.device, generator=generator)
                for most in (len(bank), bank.texts)
            )
            image = bank.x_0[rows].float() / 127.5 - 1
            pictures = self(toned(moved(image, generator), generator))
            logits = self.scale.exp() * pictures @ sentences[rows * bank.texts + which].T
            loss = (F.cross_entropy(logits, right) + F.cross_entropy(logits.T, right)) / 2
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            with torch.no_grad():
                self.scale.clamp_(0, MOST_SCALE)
                total += loss.detach()
            step, since = step + 1, since + 1
            if time.monotonic() - told > 5:
                told, mean = time.monotonic(), total.item() / since
                log(f"image tower, step {step}: loss {mean:.4f} {told - began:.0f} s")
                total.zero_()
                since = 0
        mean = total.item() / since if since else mean
        self.visual.eval()
        took = round(time.monotonic() - began, 1)
        return {"steps": step, "batch": batch, "seconds": took, "loss": round(mean, 4)}

    @torch.no_grad()
    def values(self, bank: Bank, part: int = 2048) -> Float[Tensor, "n d"]:
        """`semantics` of a bank's targets, of length sqrt(d), in half precision."""
        self.visual.eval()
        rows = [self(pixels.float() / 127.5 - 1) for pixels in bank.x_0.split(part)]
        return (torch.cat(rows) * self.width**0.5).half()

    def save(self, folder: Path) -> tuple[Path, Path]:
        """Write both towers, and the image tower alone, as `clip.save_clip` does."""
        new = {f"visual.{name}": value for name, value in self.visual.state_dict().items()}
        new["logit_scale"] = self.scale
        state = {name: new.get(name, old).detach().half().cpu() for name, old in self.state.items()}
        return save_clip(state, folder)
