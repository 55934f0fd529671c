"""What the plain-data descriptions of all models share: a format, a kind, and how they are read.

A description is a model without its weights. Its kind tells a base model from an upsampler or a
prior.
"""

from collections.abc import Mapping
from typing import Any, Literal

from composer_pl.errors import CheckpointError

FORMAT = 1
"""Version of the plain-data description of a model; raised when its meaning changes."""

Kind = Literal["base", "upsampler", "prior"]

NAMES: dict[str, str] = {
    "base": "a base model",
    "upsampler": "an upsampler",
    "prior": "a prior",
}
"""What messages call the kinds."""

ADVICE: dict[str, str] = {
    "base": "give a base model here; an upsampler or a prior goes with one, as in "
    "`composer-pl compose --ckpt BASE --upsampler FOLDER`",
    "upsampler": "give an upsampler here, or leave it out to get pictures of the base model's size",
    "prior": "give a prior here, which predicts image embeddings from captions, or leave it out",
}
"""What to do where a model of another kind than the one named was given."""


def kind_of(description: Mapping[str, Any]) -> str:
    """The kind of model; descriptions older than the field are of base models."""
    return str(description.get("kind", "base"))


def named(kind: str) -> str:
    """What messages call a kind, known or not."""
    return NAMES.get(kind, f"a model of kind {kind!r}")


def check_header(description: Mapping[str, Any], kind: Kind) -> None:
    """Refuse a description of another format or kind.

    Raises:
        CheckpointError: It is one.
    """
    found = description.get("format")
    if found != FORMAT:
        raise CheckpointError(
            f"Rebuilding a model from its description: expected format {FORMAT}, found "
            f"{found!r}. Next: use the composer-pl version that wrote it, or `composer-pl fit`."
        )
    if kind_of(description) != kind:
        raise CheckpointError(
            f"Rebuilding a model from its description: expected {named(kind)}, found "
            f"{named(kind_of(description))}. Next: {ADVICE[kind]}."
        )


def damaged(error: Exception) -> CheckpointError:
    """The refusal of a description that a constructor choked on."""
    reason = str(error).strip().partition("\n")[0].partition(" Next:")[0] or type(error).__name__
    return CheckpointError(
        f"Rebuilding a model from its description: expected the settings of a composer-pl model, "
        f"found a damaged or foreign one ({reason.rstrip('.')}). "
        f"Next: give a folder or checkpoint that composer-pl wrote."
    )


def plain(value: Any) -> Any:
    """Nested settings as JSON can hold them: tuples become lists."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, (list, tuple)) else value


def tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as configurations want them: lists become tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in settings.items()}
