"""Values of options, before anything is loaded."""

import argparse

import pytest

from composer_pl.cli.parser import SEEDS, seed_value
from composer_pl.composing import requests


@pytest.mark.parametrize("text", ["0", "-1", str(2**63 - 1), str(-(2**63))])
def test_a_seed_is_any_number_of_64_bits(text):
    assert seed_value(text) == int(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (str(2**63), "'9223372036854775808'"),
        (str(-(2**63) - 1), "'-9223372036854775809'"),
        ("9" * 5000, "'" + "9" * 40 + "...'"),
        ("1.5", "'1.5'"),
        ("nan", "'nan'"),
        ("", "''"),
    ],
)
def test_all_else_is_no_seed(text, found):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        seed_value(text)
    assert str(caught.value).endswith(f"9223372036854775807, found {found}")


def test_options_and_functions_agree_on_seeds():
    assert SEEDS == requests.SEEDS
