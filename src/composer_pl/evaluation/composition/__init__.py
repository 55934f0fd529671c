"""Do parts of different pictures go together? What is kept of each, and which one wins.

`crossing.py` takes any two conditions of any model: one from a picture, the other from the same or
from another picture; `winning.py` says what each keeps. `cases.py`, `marks.py` and `pair_sets.py`
are scenes whose pairs of colour and shape a model has seen or not.
"""
