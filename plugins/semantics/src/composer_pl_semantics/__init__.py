"""composer-pl condition: CLIP image embedding: semantics and style."""

from composer_pl_semantics.plugin import Semantics

__all__ = ["Semantics"]
