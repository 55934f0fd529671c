"""composer-pl condition: smoothed CIELab palette histogram."""

from composer_pl_color.plugin import Color

__all__ = ["Color"]
