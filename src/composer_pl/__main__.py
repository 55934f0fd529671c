"""`python -m composer_pl` is the same as `composer-pl`."""

from composer_pl.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
