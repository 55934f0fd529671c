"""The tiny depth estimator of scenes: transformers' DPT, trained on the renderer's depth.

Its sizes are those of `tiny-scenes` in composer-pl-depth, and it is measured through that plugin.
The target is normalised as the plugin normalises what it extracts, so the network learns to answer
in that range.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from clip import warm_cosine
from corpus import Corpus
from jaxtyping import Float
from torch import Tensor, nn
from varied import coarsened, toned

FILE = "dpt-tiny-scenes.safetensors"

_SCALES = 4
_GRADIENTS = 0.5  # weight of borders beside that of levels, as in MiDaS (Ranftl et al. 2022)
_NEVER_RUN = "neck.fusion_stage.layers.0.residual_layer1."


def train_depth(
    corpus: Corpus,
    *,
    steps: int,
    batch: int = 256,
    device: torch.device | str,
    seed: int = 0,
    lr: float = 1e-3,
    warmup: int = 100,
    weight_decay: float = 0.02,
    log: Callable[[str], None] = print,
) -> dict[str, Tensor]:
    """Train the estimator.

    Args:
        corpus: On `device`.
        steps: Optimizer steps.
        batch: Scenes a step; half of them mirrored, about half at half the resolution.
        device: Where to train; bfloat16 autocast on CUDA, float32 elsewhere.
        seed: Of weights, order and variations.
        lr: Highest learning rate of AdamW; it warms up and falls to zero along a cosine.
        warmup: Steps of the warm-up, at most a third of `steps`.
        weight_decay: Of matrices.
        log: Told the mean loss about every five seconds.

    Returns:
        The state in half precision, on the CPU, under transformers' published names.
    """
    import transformers

    from composer_pl_depth.estimators import architecture_config

    device = torch.device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = transformers.DPTForDepthEstimation(
            architecture_config(transformers, "tiny-scenes")
        )
        # An embedding of zeros everywhere, and an answer below zero, learn slowly.
        nn.init.normal_(network.dpt.embeddings.position_embeddings, std=0.02)
        network.head.head[4].bias.data.fill_(0.3)
    network.head.head[5] = nn.Identity()  # the last ReLU: below zero there is nothing to learn from
    network = network.to(device).train()

    parameters = [p for name, p in network.named_parameters() if not name.startswith(_NEVER_RUN)]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=lr,
        betas=(0.9, 0.98),
        fused=device.type == "cuda",
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_cosine(steps, warmup))
    generator = torch.Generator(device).manual_seed(seed)

    total, since = torch.zeros((), device=device), 0
    began = told = time.monotonic()
    for step in range(1, steps + 1):
        rows = torch.randint(len(corpus), (batch,), device=device, generator=generator)
        image = corpus.pixels[rows].float() / 127.5 - 1
        target = corpus.depth[rows].float() / 255
        mirrored = torch.rand(batch, 1, 1, device=device, generator=generator) < 0.5
        target = torch.where(mirrored, target.flip(-1), target)
        image = torch.where(mirrored[..., None], image.flip(-1), image)
        image = toned(coarsened(image, generator), generator)  # mean and deviation are 0.5
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            answer = network(pixel_values=image).predicted_depth
        loss = depth_loss(answer.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        total += loss.detach()
        since += 1
        now = time.monotonic()
        if now - told > 5 or step == steps:
            log(f"depth {step}/{steps} loss {total.item() / since:.4f} {now - began:.0f} s")
            total.zero_()
            told, since = now, 0
    state = {name: tensor.detach().half().cpu() for name, tensor in network.state_dict().items()}
    for name, tensor in state.items():
        if name.startswith(_NEVER_RUN):
            tensor.zero_()
    return state


def depth_loss(answer: Float[Tensor, "b h w"], target: Float[Tensor, "b h w"]) -> Tensor:
    """L1 of the levels, and of their differences between neighbours at four resolutions."""
    error = answer - target
    loss = error.abs().mean()
    for scale in range(_SCALES):
        coarse = error[:, :: 2**scale, :: 2**scale]
        across, down = coarse.diff(dim=2).abs().mean(), coarse.diff(dim=1).abs().mean()
        loss = loss + _GRADIENTS * (across + down)
    return loss


def save_depth(state: Mapping[str, Tensor], folder: str | Path) -> Path:
    """Write the estimator in half precision; return the path of the file.

    Raises:
        ValueError: A number is not finite in half precision.
    """
    from safetensors.torch import save_file

    state = {name: tensor.half().contiguous() for name, tensor in state.items()}
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"not finite in half precision: {', '.join(broken)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / FILE, metadata={"format": "pt"})
    return folder / FILE


@torch.no_grad()
def measure_depth(
    corpus: Corpus, *, weights_file: str | Path | None = None, batch: int = 128
) -> dict[str, float]:
    """Hold extracted depth to the renderer's, on scenes that were not trained on.

    Args:
        corpus: Unseen scenes, on the device that is used.
        weights_file: What `save_depth` wrote; None takes the file that the plugin ships.
        batch: Scenes a step.

    Returns:
        Means over scenes: `error` is the absolute error of values in [0, 1]; `correlation`;
        `error_aligned` the absolute error after the best scale and shift (least squares);
        `adherence` as the plugin scores it. Names that end in `_at_64` are of pictures that were
        brought to 64 px first, as the base model draws them.
    """
    from composer_pl_depth import Depth

    plugin = Depth(model="tiny-scenes", weights_file=weights_file and str(weights_file))
    extract = plugin.build_extractor().to(corpus.pixels.device)
    sums: dict[str, float] = {}
    for pixels, depth in zip(corpus.pixels.split(batch), corpus.depth.split(batch), strict=True):
        image, target = pixels.float() / 127.5 - 1, depth.float()[:, None] / 255
        small = nn.functional.interpolate(image, scale_factor=0.5, mode="area")
        side = tuple(image.shape[-2:])
        enlarged = nn.functional.interpolate(small, size=side, mode="bicubic", antialias=True)
        for suffix, picture in (("", image), ("_at_64", enlarged.clamp(-1, 1))):
            value = extract(picture)
            aligned, correlation = _aligned(value.flatten(1), target.flatten(1))
            marks = {
                "error": (value - target).abs().flatten(1).mean(1),
                "correlation": correlation,
                "error_aligned": (aligned - target.flatten(1)).abs().mean(1),
                "adherence": 1 - plugin.distance(value, target),
            }
            for name, mark in marks.items():
                sums[name + suffix] = sums.get(name + suffix, 0.0) + float(mark.sum())
    means = {name: round(value / len(corpus), 4) for name, value in sums.items()}
    return {**means, "scenes": len(corpus)}


def _aligned(
    value: Float[Tensor, "b n"], target: Float[Tensor, "b n"]
) -> tuple[Float[Tensor, "b n"], Float[Tensor, " b"]]:
    """Values brought to the target's by scale and shift, and the correlation of both."""
    ours, theirs = value - value.mean(1, keepdim=True), target - target.mean(1, keepdim=True)
    product, square = (ours * theirs).sum(1), ours.square().sum(1)
    scale = product / square.clamp(min=1e-9)
    norm = (square * theirs.square().sum(1)).sqrt().clamp(min=1e-9)
    return ours * scale[:, None] + target.mean(1, keepdim=True), product / norm
