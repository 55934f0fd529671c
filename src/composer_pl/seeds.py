"""Which numbers are seeds. Without torch, as the command line asks before anything is loaded."""

SEEDS = (-(2**63), 2**63 - 1)
"""Least and largest seed: a number of 64 bits, which every record and generator holds."""
