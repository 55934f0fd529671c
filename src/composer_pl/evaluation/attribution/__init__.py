"""What each condition is worth to the denoiser: leave-one-out and Shapley effects on its loss.

`shapley.py` is the mathematics of games, `losses.py` the game that a model plays: its loss on the
same noisy pictures under every subset of its conditions. `effects.py` joins both by noise level,
`reporting.py` writes them down.
"""
