"""Files of CLIP weights: converted once from OpenAI's archives, read from safetensors.

This file stands in composer-pl-caption and composer-pl-semantics with the same text, as neither
package may need the other; a test holds them equal.
"""

import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from composer_pl.plugin import MissingWeightsError, WeightSpec


def convert(spec: WeightSpec, source: Path, target: Path) -> None:
    """Write OpenAI's TorchScript archive, or a plain state dict, as safetensors.

    TorchScript rebuilds only its own objects and runs none of the archive's code unless it is
    called; the digest has been checked before. Tensors keep their names and precision.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript announces its retirement
        try:
            state = torch.jit.load(source, map_location="cpu").state_dict()
        except RuntimeError:
            state = torch.load(source, map_location="cpu", weights_only=True)
    for name in ("input_resolution", "context_length", "vocab_size"):  # numbers, not weights
        state.pop(name, None)
    tensors = {name: tensor.detach().contiguous().clone() for name, tensor in state.items()}
    save_file(tensors, target, metadata={"format": "pt", "made_of": spec.sha256})


def read_tensors(path: Path, *, visual: bool) -> dict[str, Tensor]:
    """Return one tower's tensors in float32, under open_clip's names.

    Args:
        path: A safetensors file in the layout of OpenAI and open_clip, or of transformers.
        visual: True for the image tower (names without `visual.`), False for the text tower.

    Raises:
        MissingWeightsError: The file is absent or is no safetensors file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            foreign = any(name.startswith("text_model.") for name in names)
            mine = ("vision_model.", "visual_") if foreign else ("visual.",)
            tensors = {
                name: file.get_tensor(name).float()
                for name in names
                if name.startswith(mine) == visual
                and not name.endswith(("logit_scale", "logit_bias", "position_ids"))
            }
            vocabulary = (file.metadata() or {}).get(_VOCABULARY)
    except (OSError, SafetensorError) as error:
        raise MissingWeightsError(
            f"Loading CLIP from {path}: expected a safetensors file, found {error}. Next: correct "
            f"weights_file, or leave it out and run `composer-pl plugins fetch caption`."
        ) from error
    if foreign:
        tensors = _from_transformers(tensors)
    if vocabulary is not None and not visual:
        tensors = _with_all_words(tensors, int(vocabulary))
    return {name.removeprefix("visual."): tensor for name, tensor in tensors.items()}


_EMBEDDING, _ROWS, _VOCABULARY = "token_embedding.weight", "token_embedding.rows", "vocabulary"


def without_empty_words(tensors: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Leave out the words whose embedding is zero: a CLIP of few words is mostly those.

    Returns:
        The tensors to write, and what the file's metadata must say for `read_tensors`.
    """
    table = tensors[_EMBEDDING]
    rows = table.ne(0).any(1).nonzero()[:, 0]
    kept = {_EMBEDDING: table[rows].contiguous(), _ROWS: rows.to(torch.int32)}
    return tensors | kept, {_VOCABULARY: str(len(table))}


def _with_all_words(tensors: dict[str, Tensor], vocabulary: int) -> dict[str, Tensor]:
    """Put back what `without_empty_words` left out."""
    rows = tensors.pop(_ROWS).long()
    table = torch.zeros(vocabulary, tensors[_EMBEDDING].shape[1])
    table[rows] = tensors[_EMBEDDING]
    return tensors | {_EMBEDDING: table}


_RENAMED = (
    ("vision_model.embeddings.class_embedding", "class_embedding"),
    ("vision_model.embeddings.patch_embedding.", "conv1."),
    ("vision_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("vision_model.pre_layrnorm.", "ln_pre."),
    ("vision_model.post_layernorm.", "ln_post."),
    ("text_model.embeddings.token_embedding.", "token_embedding."),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.final_layer_norm.", "ln_final."),
    ("vision_model.encoder.layers.", "transformer.resblocks."),
    ("text_model.encoder.layers.", "transformer.resblocks."),
    (".self_attn.out_proj.", ".attn.out_proj."),
    (".layer_norm1.", ".ln_1."),
    (".layer_norm2.", ".ln_2."),
    (".mlp.fc1.", ".mlp.c_fc."),
    (".mlp.fc2.", ".mlp.c_proj."),
)
"""transformers' names -> open_clip's."""


def _from_transformers(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename transformers' CLIP, whose projections are transposed and whose q, k, v are apart."""
    renamed: dict[str, Tensor] = {}
    for original, tensor in tensors.items():
        if original in ("visual_projection.weight", "text_projection.weight"):
            short = "proj" if original.startswith("visual") else "text_projection"
            renamed[short] = tensor.T.contiguous()
            continue
        name = original
        for old, new in _RENAMED:
            name = name.replace(old, new)
        if ".self_attn.q_proj." in name:
            others = [original.replace(".q_proj.", f".{letter}_proj.") for letter in "kv"]
            name = name.replace(".self_attn.q_proj.", ".attn.in_proj_")
            tensor = torch.cat([tensor, *(tensors[other] for other in others)])
        elif ".self_attn." in name:
            continue  # k and v have gone with q
        renamed[name] = tensor
    return renamed
