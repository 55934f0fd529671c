"""Distances between sets of pictures: feature networks, and the mathematics on their features.

Nothing here knows a model or a command; pictures are uint8 in [0, 255], as files hold them.
"""
