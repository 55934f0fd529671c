"""What an upsampler is given, and how that is degraded in training."""

from dataclasses import dataclass
from typing import Literal

from composer_pl.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class UpsamplingConfig:
    """What an upsampler is given, and how that is degraded.

    Attributes:
        factor: Side of the large picture divided by that of the small one.
        max_level: Highest noise level that training draws for the small picture; 0 trains without
            noise. A level of s keeps cos(s pi / 2) of the picture and adds sin(s pi / 2) of noise.
        level: Noise level at inference, unless told otherwise.
        blur_sigma: Sigma of a Gaussian blur, kernel 3, of the small picture in training; 0 for
            none. Paper: 0.6 (through unCLIP, stage 64 to 256).
        degradation: What corrupts the small picture in training beside noise and blur: `none`, or
            `bsr_light` or `bsr` of `composer_pl.models.degradation`. Paper: BSR (through unCLIP,
            stage 256 to 1024).
        residual: 0 diffuses the large picture, as the paper does. A positive number diffuses what
            the enlarged small picture lacks, times this number, which should bring it to about a
            tenth or more of the range (Li et al., 2022, "SRDiff"). Differs from the paper where it
            is used: a short training then starts from interpolation instead of from nothing.
    """

    factor: int = 2
    max_level: float = 0.4
    level: float = 0.05
    blur_sigma: float = 0.0
    residual: float = 0.0
    degradation: Literal["none", "bsr_light", "bsr"] = "none"

    def __post_init__(self):
        """Refuse settings that cannot be, naming the one to change."""
        _check(2 <= self.factor <= 8, "factor", "from 2 to 8", self.factor)
        _check(0 <= self.max_level <= 1, "max_level", "in 0..1", self.max_level)
        _check(
            0 <= self.level <= self.max_level, "level", "in 0..max_level, as trained", self.level
        )
        _check(0 <= self.blur_sigma <= 10, "blur_sigma", "in 0..10", self.blur_sigma)
        _check(0 <= self.residual <= 100, "residual", "in 0..100", self.residual)
        known = ("none", "bsr_light", "bsr")
        _check(self.degradation in known, "degradation", " or ".join(known), self.degradation)


def _check(holds: bool, name: str, expected: str, found: object) -> None:
    if not holds:
        raise ConfigError(
            f"Configuring the upsampler: {name} must be {expected}, found {found}. "
            f"Next: change model.upsampling.{name}."
        )
