"""Licences are sorted by what they allow, and every part of a model is told."""

import pytest

from composer_pl.models.licences import parts_of, terms


@pytest.mark.parametrize(
    ("license", "found"),
    [
        ("Apache-2.0", "free"),
        ("MIT AND BSD-3-Clause", "free"),
        ("AGPL-3.0-only", "copyleft"),
        ("MIT AND LGPL-2.1-or-later", "copyleft"),
        ("GPL-2.0-only OR MIT", "free"),
        ("(MIT OR AGPL-3.0-only)", "free"),
        ("MIT AND CC-BY-NC-4.0", "other"),
        ("research only (MIT text headed: not for sale)", "other"),
        ("free of charge", "other"),
        ("", "other"),
    ],
)
def test_terms(license, found):
    assert terms(license) == found


def test_packages_have_installed_licences_and_share_conditions(fake_plugins, model):
    description = model.describe()
    description["conditions"]["again"] = description["conditions"]["grey"]
    (part,) = parts_of(description)
    assert (part.role, part.name, part.version) == ("package", "composer-pl-fakes", "1.0")
    assert (part.license, part.terms) == ("MIT", "free")
    assert part.conditions == ("again", "grey", "mean")


def test_only_weights_that_the_settings_read_are_told(fake_plugins, model, monkeypatch):
    from fakes import FakeGlobal, FakeLocal

    from composer_pl.plugin import WeightSpec

    read, other = (
        WeightSpec(
            name=f"{word}.pth",
            url="",
            sha256="",
            size=0,
            license="research only",
            origin="Somebody, 2020",
            packaged=f"{__file__}/{word}.pth",
        )
        for word in ("read", "other")
    )
    monkeypatch.setattr(FakeGlobal, "weights", (read, other))
    monkeypatch.setattr(FakeGlobal, "weights_in_use", lambda self: (read,))
    monkeypatch.setattr(FakeLocal, "weights_in_use", lambda self: (read,))
    package, weights = parts_of(model.describe())
    assert package.role == "package"
    assert (weights.name, weights.terms) == ("read.pth", "other")
    assert weights.conditions == ("grey", "mean")


def test_a_plugin_that_cannot_say_what_it_reads_counts_as_unknown(fake_plugins, model, monkeypatch):
    from fakes import FakeLocal

    def failing(self):
        raise RuntimeError("a bug")

    monkeypatch.setattr(FakeLocal, "weights_in_use", failing)
    package, weights = parts_of(model.describe())
    assert package.terms == "free"
    assert (weights.name, weights.terms) == ("weights of grey", "other")
    assert "RuntimeError: a bug" in weights.origin


def test_a_package_that_is_not_here_has_no_known_licence(fake_plugins, model, monkeypatch):
    description = model.describe()
    monkeypatch.setenv("COMPOSER_PL_PLUGINS", "none")
    assert parts_of(description)[0].license == "MIT", "a restriction hides no licence"
    description["conditions"]["grey"] |= {"plugin": "gone", "distribution": "composer-pl-gone"}
    package = next(part for part in parts_of(description) if part.name == "composer-pl-gone")
    assert package.terms == "other"
