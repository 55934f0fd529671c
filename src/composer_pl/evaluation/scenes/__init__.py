"""Procedural scenes as a ruler: their truth at 64 px, a network that reads it, scores made of both.

The truth is the renderer's, the network is no condition's extractor: what they say of a picture
does not depend on anything that the model was trained with.
"""
