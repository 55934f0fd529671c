"""What a configuration may import: this package, installed plugins, optimisers, Lightning's parts.

jsonargparse 4.53 only warns about dangerous import paths until an allow list is set. With
everything denied first, a path outside the list is refused before its module is imported.
"""

from composer_pl.errors import ConfigError

ALLOWED = (
    "composer_pl",
    "torch.optim",
    "lightning.pytorch.callbacks",
    "lightning.pytorch.loggers",
    "lightning.pytorch.profilers",
    "lightning.pytorch.strategies",
)


def plugin_packages() -> dict[str, str]:
    """Top-level package of each installed condition -> its distribution, imports nothing of it."""
    from composer_pl.conditions.discovery import discover

    return {
        entry.reference.partition(":")[0].partition(".")[0]: entry.distribution
        for entry in discover().values()
    }


def restrict_imports() -> None:
    """Deny every import path that a configuration could name but the allowed ones.

    Raises:
        ConfigError: A plugin claims a package that is not its own to give.
    """
    from jsonargparse import set_parsing_settings

    packages = plugin_packages()
    for package in packages:
        if package in ("torch", "lightning", "os", "sys", "builtins", "jsonargparse"):
            raise ConfigError(
                f"Reading the installed conditions: {packages[package]} claims the package "
                f"{package!r}, which cannot be a plugin. "
                f"Next: `pip uninstall {packages[package]}`."
            )
    set_parsing_settings(
        import_path_denylist=["*"],
        import_path_allowlist=[*ALLOWED, *sorted(packages)],
        instantiate_subclass_spec_in_any=False,
        config_read_mode_fsspec_enabled=False,
    )


def denying(path: str) -> bool:
    """Whether `restrict_imports` refuses an import path."""
    allowed = (*ALLOWED, *plugin_packages())
    return not any(path == entry or path.startswith(f"{entry}.") for entry in allowed)
