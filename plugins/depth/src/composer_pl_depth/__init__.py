"""composer-pl condition: monocular depth."""

from composer_pl_depth.plugin import Depth

__all__ = ["Depth"]
