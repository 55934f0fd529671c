"""The checks of the contract, by what they hold a plugin to; `plugin/testing.py` joins them."""
