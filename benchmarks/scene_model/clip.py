"""The tiny CLIP of scenes: open_clip's model and loss, trained on captions by grammar.

It has the sizes of `MODELS["tiny-scenes"]` of composer-pl-caption and is measured through that
plugin. Equal captions of different scenes are a few in a thousand; the loss does not know them, the
measure does.
"""

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from corpus import Corpus
from jaxtyping import Bool, Float
from torch import Tensor
from varied import moved, toned

FILE = "clip-tiny-scenes.safetensors"
VISUAL_FILE = "clip-tiny-scenes-visual.safetensors"

MOST_SCALE = math.log(100)  # of the logits, as in Radford et al. 2021


def train_clip(
    corpus: Corpus,
    *,
    steps: int,
    batch: int = 1024,
    device: torch.device | str,
    seed: int = 0,
    lr: float = 1e-3,
    warmup: int = 100,
    weight_decay: float = 0.1,
    log: Callable[[str], None] = print,
) -> dict[str, Tensor]:
    """Train both towers.

    Args:
        corpus: On `device`.
        steps: Optimizer steps.
        batch: Scenes a step, each with one of its captions, drawn anew.
        device: Where to train; bfloat16 autocast on CUDA, float32 elsewhere.
        seed: Of weights, order and variations.
        lr: Highest learning rate of AdamW; it warms up and falls to zero along a cosine.
        warmup: Steps of the warm-up, at most a third of `steps`.
        weight_decay: Of matrices.
        log: Told the mean loss about every five seconds.

    Returns:
        The state in half precision, on the CPU; embeddings of tokens that no caption has are zero.
    """
    import open_clip

    from composer_pl_caption.clip import build_clip
    from composer_pl_caption.clip_models import MODELS

    device = torch.device(device)
    sizes = MODELS["tiny-scenes"]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_clip(sizes).to(device).train()
    unused = ~used_tokens(corpus.tokens, len(network.token_embedding.weight))
    network.token_embedding.weight.data[unused] = 0
    mean, std = (
        torch.tensor(part, device=device)[:, None, None] for part in (sizes.mean, sizes.std)
    )

    parameters = list(network.parameters())
    optimizer = clip_optimizer(parameters, lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, warm_cosine(steps, warmup))
    loss_of = open_clip.ClipLoss()
    generator = torch.Generator(device).manual_seed(seed)
    count, choices = len(corpus), corpus.tokens.shape[1]

    total, since = torch.zeros((), device=device), 0
    began = told = time.monotonic()
    for step in range(1, steps + 1):
        rows = torch.randint(count, (batch,), device=device, generator=generator)
        which = torch.randint(choices, (batch,), device=device, generator=generator)
        image = toned(moved(corpus.pixels[rows].float() / 127.5 - 1, generator), generator)
        side = (sizes.image_size,) * 2
        image = F.interpolate(image, size=side, mode="bicubic", antialias=True).clamp(-1, 1)
        image = ((image + 1) / 2 - mean) / std
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            pictures, words, scale = network(image, corpus.tokens[rows, which].long())
        loss = loss_of(pictures.float(), words.float(), scale.float())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, MOST_SCALE)
            total += loss.detach()
        since += 1
        now = time.monotonic()
        if now - told > 5 or step == steps:
            log(f"clip {step}/{steps} loss {total.item() / since:.4f} {now - began:.0f} s")
            total.zero_()
            told, since = now, 0
    network.token_embedding.weight.data[unused] = 0
    return {name: tensor.detach().half().cpu() for name, tensor in network.state_dict().items()}


def clip_optimizer(
    parameters: Sequence[Tensor], *, lr: float, weight_decay: float
) -> torch.optim.AdamW:
    """AdamW as for CLIP (Radford et al. 2021); the decay is of matrices alone."""
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=lr,
        betas=(0.9, 0.98),
        eps=1e-6,
        fused=parameters[0].device.type == "cuda",
    )


def used_tokens(tokens: Tensor, vocabulary: int) -> Bool[Tensor, " v"]:
    """Which ids stand in captions, up to the end token; zeros after it are padding."""
    tokens = tokens.flatten(0, -2).long()
    places = torch.arange(tokens.shape[1], device=tokens.device)
    used = torch.zeros(vocabulary, dtype=torch.bool, device=tokens.device)
    used[tokens[places <= tokens.argmax(1, keepdim=True)]] = True
    return used


def warm_cosine(steps: int, warmup: int) -> Callable[[int], float]:
    """Factor of the learning rate: up along a line, down along a cosine."""
    warmup = max(1, min(warmup, steps // 3))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        share = (step - warmup) / max(1, steps - warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))

    return factor


def save_clip(state: Mapping[str, Tensor], folder: str | Path) -> tuple[Path, Path]:
    """Write both towers, and the image tower alone, with the digest of the state in both.

    Words that no caption uses have an empty embedding and are left out of the file.

    Returns:
        Paths of the two files.

    Raises:
        ValueError: A number is not finite in half precision.
    """
    from safetensors.torch import save_file

    from composer_pl_caption.clip_tensors import without_empty_words

    state = {name: tensor.half().contiguous() for name, tensor in state.items()}
    broken = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if broken:
        raise ValueError(f"not finite in half precision: {', '.join(broken)}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    metadata = {"format": "pt", "made_of": state_digest(state)}
    both, facts = without_empty_words(state)
    save_file(both, folder / FILE, metadata=metadata | facts)
    visual = {name: tensor for name, tensor in state.items() if name.startswith("visual.")}
    save_file(visual, folder / VISUAL_FILE, metadata=metadata)
    return folder / FILE, folder / VISUAL_FILE


def load_clip(path: str | Path) -> dict[str, Tensor]:
    """Read the whole state from what `save_clip` wrote of both towers, empty words too."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    state = load_file(path)
    with safe_open(path, framework="pt") as file:
        vocabulary = int(file.metadata()["vocabulary"])
    few = state["token_embedding.weight"]
    table = torch.zeros(vocabulary, few.shape[1], dtype=few.dtype)
    table[state.pop("token_embedding.rows").long()] = few
    return state | {"token_embedding.weight": table}


def state_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 of names, shapes and numbers of a state."""
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(f"{name} {tuple(state[name].shape)}\n".encode())
        digest.update(state[name].contiguous().numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def measure_clip(
    corpus: Corpus,
    *,
    weights_file: str | Path | None = None,
    among: int = 100,
    draws: int = 200,
    seed: int = 0,
    batch: int = 512,
) -> dict[str, float]:
    """Retrieval among scenes that were not trained on, through the plugin's own loading.

    Each draw takes `among` scenes and one caption of each. A retrieved caption is right when it is
    worded as the scene's own; a retrieved picture, when its caption in the draw is.

    Args:
        corpus: Unseen scenes, on the device that is used.
        weights_file: What `save_clip` wrote; None takes the file that the plugin ships.
        among: Scenes a draw, at most all.
        draws: How often.
        seed: Of the draws.
        batch: Scenes embedded together.

    Returns:
        Shares in [0, 1]: `image_to_text_top1`, `_top5`, `text_to_image_top1`, `_top5`, means over
        draws; and the numbers that they depend on.
    """
    from composer_pl_caption import Caption

    plugin = Caption(model="tiny-scenes", weights_file=weights_file and str(weights_file))
    extract = plugin.build_extractor().to(corpus.pixels.device)
    parts = corpus.pixels.split(batch)
    pictures = torch.cat([extract.image_embedding(part.float() / 127.5 - 1) for part in parts])
    choices = corpus.tokens.shape[1]
    texts = [text for words in corpus.texts for text in words[:choices]]
    width = pictures.shape[1]
    sentences = torch.cat(
        [extract(texts[i : i + batch])[:, 0, :width] for i in range(0, len(texts), batch)]
    )
    same: dict[str, int] = {}
    names = torch.tensor([same.setdefault(text, len(same)) for text in texts])
    cosines = (F.normalize(pictures) @ F.normalize(sentences).T).cpu()

    among = min(among, len(corpus))
    generator = torch.Generator().manual_seed(seed)
    hits: dict[str, list[float]] = {}
    for _ in range(draws):
        rows = torch.randperm(len(corpus), generator=generator)[:among]
        columns = rows * choices + torch.randint(choices, (among,), generator=generator)
        table, name = cosines[rows][:, columns], names[columns]
        for kind, scores in (("image_to_text", table), ("text_to_image", table.T)):
            for top in (1, 5):
                hits.setdefault(f"{kind}_top{top}", []).append(_found(scores, name, top))
    found = {kind: round(sum(values) / len(values), 4) for kind, values in hits.items()}
    return {**found, "scenes": len(corpus), "among": among, "draws": draws}


def _found(scores: Float[Tensor, "n n"], names: Tensor, top: int) -> float:
    """Share of rows whose own name is among the `top` best columns."""
    best = scores.topk(min(top, len(scores)), dim=1).indices
    return float((names[best] == names[:, None]).any(1).float().mean())
