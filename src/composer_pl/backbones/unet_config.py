"""Sizes of the U-Net, checked when they are given."""

from dataclasses import dataclass

from composer_pl.backbones.attention import Reach
from composer_pl.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Size of the U-Net; the defaults are the paper's base model with 2.1 billion parameters.

    Attributes:
        channels: Width of the first level.
        channel_mult: Width of each level as a multiple of `channels`; each level halves the side.
        num_res_blocks: Residual blocks a level (one more on the way up).
        attention_levels: Levels, counted from 0, whose blocks attend; the middle attends when any
            level does.
        head_dim: Channels of one attention head.
        context_dim: Width of a context token; 0 for a model without context.
        hint_channels: Channels of the summed local conditions, concatenated to x_t; 0 for none.
        hint_scale: Side of local condition values divided by the side of x_t, a power of two.
        dropout: Probability of zeroing an activation while training.
        in_channels: Channels of x_t.
        out_channels: Channels of the output: 3, or 6 when the variance is learned too.
        patch_size: Side of the squares of pixels that are folded into channels at the input and
            unfolded at the output: 1 (the paper), 2 or 4. A patch of 2 costs a quarter of the work.
        resolution: Side of the pictures drawn. Other sides work; this one is what is planned.
        trained_side: Side of the crops trained on, where it is less than `resolution`; 0 where
            whole pictures are (unCLIP trains its upsamplers on a quarter of the side).
        attention_reach: How attention that was learned on crops works on larger pictures: `all`
            positions see all others, as they would in any U-Net; `windows` of the trained side see
            themselves, and overlap by half; `log` lets all see all, with logits sharpened by the
            logarithm of their number. The three agree on pictures of the trained side.
    """

    channels: int = 512
    channel_mult: tuple[int, ...] = (1, 2, 3, 4)
    num_res_blocks: int = 3
    attention_levels: tuple[int, ...] = (1, 2, 3)
    head_dim: int = 64
    context_dim: int = 512
    hint_channels: int = 8
    hint_scale: int = 4
    dropout: float = 0.1
    in_channels: int = 3
    out_channels: int = 6
    patch_size: int = 1
    resolution: int = 64
    trained_side: int = 0
    attention_reach: Reach = "all"

    def __post_init__(self):
        """Refuse sizes that cannot be built, naming the setting to change."""
        _check(self.channels > 0 and self.channels % 2 == 0, "channels", "even", self.channels)
        _check(
            len(self.channel_mult) > 0 and min(self.channel_mult) > 0,
            "channel_mult",
            "a list of positive integers",
            self.channel_mult,
        )
        _check(self.num_res_blocks > 0, "num_res_blocks", "at least 1", self.num_res_blocks)
        levels = range(len(self.channel_mult))
        _check(
            all(level in levels for level in self.attention_levels),
            "attention_levels",
            f"levels from 0 to {len(levels) - 1}",
            self.attention_levels,
        )
        for name in ("in_channels", "out_channels", "head_dim"):
            _check(getattr(self, name) > 0, name, "at least 1", getattr(self, name))
        for name in ("context_dim", "hint_channels"):
            _check(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        widths = [self.channels * mult for mult in self.channel_mult]
        attended = {widths[level] for level in self.attention_levels}
        if attended:
            attended.add(widths[-1])
        _check(
            all(width % self.head_dim == 0 for width in attended),
            "head_dim",
            f"a divisor of the attended widths {sorted(attended)}",
            self.head_dim,
        )
        _check(
            self.hint_scale > 0 and self.hint_scale & (self.hint_scale - 1) == 0,
            "hint_scale",
            "a power of two",
            self.hint_scale,
        )
        _check(0 <= self.dropout < 1, "dropout", "in [0, 1)", self.dropout)
        _check(self.patch_size in (1, 2, 4), "patch_size", "1, 2 or 4", self.patch_size)
        _check(
            self.resolution > 0 and self.resolution % self.side_multiple == 0,
            "resolution",
            f"a multiple of {self.side_multiple}",
            self.resolution,
        )

        _check(
            0 <= self.trained_side <= self.resolution
            and self.trained_side % self.side_multiple == 0,
            "trained_side",
            f"0, or a multiple of {self.side_multiple} up to {self.resolution}",
            self.trained_side,
        )
        _check(
            self.attention_reach in ("all", "windows", "log"),
            "attention_reach",
            "all, windows or log",
            self.attention_reach,
        )

    @property
    def crop(self) -> int:
        """Side of what a training step sees."""
        return self.trained_side or self.resolution

    @property
    def side_multiple(self) -> int:
        """What the sides of x_t must be divisible by: 8 for four levels, times `patch_size`."""
        return 2 ** (len(self.channel_mult) - 1) * self.patch_size


def _check(holds: bool, name: str, expected: str, found: object) -> None:
    if not holds:
        raise ConfigError(
            f"Configuring the U-Net: {name} must be {expected}, found {found}. "
            f"Next: change model.backbone.{name}."
        )
