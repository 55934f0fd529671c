"""Procedural scenes: sampled by a seed, rendered by ray marching, with their whole truth known.

`sampler.py` decides what a scene holds, `render.py` draws it, `truth.py` and `captions.py` say what
is in it; `source.py` makes scenes a source of training pictures and `export.py` writes them out.
"""
