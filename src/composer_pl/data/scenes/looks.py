"""The numbers behind the names: light and colours of skies, colours of floors, in linear light."""

from dataclasses import dataclass

from composer_pl.data.scenes.vocabulary import COLORS

Rgb = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class SkyLook:
    """Light of one sky.

    Attributes:
        zenith: Colour overhead.
        horizon: Colour at the horizon, into which the floor fades.
        glow: Colour added around the key light.
        light: Colour times strength of the key light.
        softness: Tangent of the key light's apparent radius.
        ambient: Strength of the light from the sky.
        clouds: Share of the sky under clouds.
        stars: Brightness of stars.
    """

    zenith: Rgb
    horizon: Rgb
    glow: Rgb = (0.0, 0.0, 0.0)
    light: Rgb
    softness: float
    ambient: float
    clouds: float = 0.0
    stars: float = 0.0


SKY_LOOKS: dict[str, SkyLook] = {
    "clear": SkyLook(
        zenith=(0.12, 0.33, 0.78),
        horizon=(0.55, 0.76, 0.95),
        glow=(0.5, 0.42, 0.3),
        light=(2.75, 2.55, 2.2),
        softness=0.05,
        ambient=0.75,
    ),
    "cloudy": SkyLook(
        zenith=(0.16, 0.38, 0.80),
        horizon=(0.60, 0.77, 0.93),
        glow=(0.4, 0.36, 0.3),
        light=(2.5, 2.35, 2.1),
        softness=0.08,
        ambient=0.85,
        clouds=0.9,
    ),
    "overcast": SkyLook(
        zenith=(0.52, 0.56, 0.62),
        horizon=(0.80, 0.82, 0.83),
        light=(1.15, 1.15, 1.15),
        softness=0.35,
        ambient=1.15,
        clouds=0.25,
    ),
    "sunset": SkyLook(
        zenith=(0.16, 0.13, 0.40),
        horizon=(1.00, 0.36, 0.13),
        glow=(1.0, 0.42, 0.10),
        light=(2.9, 2.0, 1.3),
        softness=0.06,
        ambient=0.8,
        clouds=0.35,
    ),
    "night": SkyLook(
        zenith=(0.006, 0.010, 0.035),
        horizon=(0.030, 0.048, 0.115),
        glow=(0.05, 0.06, 0.1),
        light=(0.92, 1.02, 1.25),
        softness=0.06,
        ambient=1.6,
        stars=0.9,
    ),
    "studio": SkyLook(
        zenith=(0.50, 0.50, 0.53),
        horizon=(0.74, 0.73, 0.72),
        light=(2.1, 2.05, 2.0),
        softness=0.16,
        ambient=0.85,
    ),
}

# Muted, so that the objects stand out.
_SOFT: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.71, 0.68, 0.63), (0.55, 0.52, 0.48)),
    ((0.69, 0.60, 0.48), (0.52, 0.43, 0.33)),
    ((0.52, 0.60, 0.65), (0.38, 0.46, 0.52)),
    ((0.56, 0.62, 0.50), (0.42, 0.48, 0.37)),
    ((0.70, 0.56, 0.51), (0.54, 0.41, 0.37)),
    ((0.50, 0.49, 0.55), (0.37, 0.36, 0.42)),
    ((0.42, 0.53, 0.54), (0.30, 0.40, 0.42)),
)
_CONTRASTED: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.76, 0.75, 0.72), (0.27, 0.28, 0.31)),
    ((0.75, 0.70, 0.61), (0.40, 0.31, 0.25)),
    ((0.72, 0.75, 0.77), (0.27, 0.36, 0.45)),
    ((0.74, 0.74, 0.67), (0.32, 0.41, 0.33)),
    ((0.76, 0.70, 0.67), (0.47, 0.30, 0.29)),
)
_WOOD: tuple[tuple[Rgb, Rgb], ...] = (
    ((0.66, 0.48, 0.31), (0.50, 0.33, 0.20)),
    ((0.50, 0.35, 0.24), (0.36, 0.24, 0.16)),
    ((0.74, 0.61, 0.45), (0.60, 0.46, 0.32)),
    ((0.53, 0.48, 0.42), (0.40, 0.35, 0.30)),
)
_FLOOR_TONES = {"checked": _CONTRASTED, "planks": _WOOD}


def floor_colors(floor: str, tone: int) -> tuple[Rgb, Rgb]:
    """Return the two colours of a floor in linear light."""
    tones = _FLOOR_TONES.get(floor, _SOFT)
    first, second = tones[tone % len(tones)]
    return linear(first), linear(second)


def object_color(name: str) -> Rgb:
    """Return a surface colour in linear light."""
    return linear(COLORS[name])


def linear(color: Rgb) -> Rgb:
    """Decode sRGB."""
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in color)
    return r, g, b
