"""composer-pl condition: CLIP sentence and word embeddings of a caption."""

from composer_pl_caption.plugin import Caption

__all__ = ["Caption"]
