"""composer-pl condition: masked image and its mask."""

from composer_pl_masking.plugin import Masking

__all__ = ["Masking"]
