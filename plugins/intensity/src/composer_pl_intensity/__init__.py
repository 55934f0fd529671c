"""composer-pl condition: grey image with random RGB weights."""

from composer_pl_intensity.plugin import Intensity

__all__ = ["Intensity"]
