"""composer-pl condition: simplified edge strokes."""

from composer_pl_sketch.plugin import Sketch

__all__ = ["Sketch"]
