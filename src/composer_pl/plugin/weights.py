"""Pretrained weights as data: where a file comes from, where it lies, how it is checked.

Reading touches no network unless the environment variable `COMPOSER_PL_ALLOW_DOWNLOADS` is 1;
`composer-pl plugins fetch NAME` is the way in. A file whose digest is wrong is never used.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from composer_pl.errors import ComposerPLError, ConfigError, MissingWeightsError
from composer_pl.files import replacing
from composer_pl.plugin.digests import file_digest, remember, remembered, weights_folder

logger = logging.getLogger(__name__)

Progress = Callable[[int, int], None]
"""Called with (bytes so far, bytes in all; 0 when unknown)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightSpec:
    """One file of pretrained weights.

    Attributes:
        name: File name in the cache, which all plugins share; say whose file it is, as in
            `depth-anything-v2-small.safetensors`. Two plugins may name the same file.
        url: Where `composer-pl plugins fetch` gets it; empty when a user must supply it.
        sha256: Digest of the file, lower-case hexadecimal; empty when nobody published one.
        size: Bytes, for the message and the progress bar; 0 when unknown.
        license: SPDX expression or a short name of the terms.
        origin: Who made it, with a citation or page title.
        converted: File name in the cache of the safetensors that `ConditionPlugin.convert_weights`
            makes of a file in an unsafe format; empty when the file is read as it is. Two plugins
            that give the same name must write the same tensors.
        packaged: Absolute path of the file inside the installed package, built from `__file__`,
            where a plugin ships it; nothing is fetched then. Empty when the cache holds it.
    """

    name: str
    url: str
    sha256: str
    size: int
    license: str
    origin: str
    converted: str = ""
    packaged: str = ""


Convert = Callable[[WeightSpec, Path, Path], None]
"""Writes the third argument from the second, as `ConditionPlugin.convert_weights` does."""


def resolve(
    spec: WeightSpec,
    *,
    condition: str,
    path: str | Path | None = None,
    convert: Convert | None = None,
) -> Path:
    """Return a checked file that may be loaded; what `build_extractor` calls.

    Digests are computed once for each state of a file (size and time of change) and remembered in
    the cache folder, so that starting does not read gigabytes twice.

    Args:
        spec: The file. When `spec.converted` is set, the answer is the converted safetensors.
        condition: Entry-point name of the plugin, for messages.
        path: A file that the user names, used instead of the cache and held to the same digest.
            To accept any file, pass a spec without one (`dataclasses.replace(spec, sha256="")`).
            A `.safetensors` in place of a file that would be converted is taken as it is.
        convert: `self.convert_weights`; needed when `spec.converted` is set.

    Raises:
        MissingWeightsError: There is no such file, or its digest is wrong, or it cannot be read.
    """
    if spec.converted and convert is None:
        raise ConfigError(
            f"Loading weights of the condition {condition!r}: {spec.name} must be converted, found "
            f"no converter. Next: pass `convert=self.convert_weights` to resolve_weights."
        )
    folder = weights_folder()
    if path is not None:
        source = Path(path).expanduser().absolute()
        if spec.converted and source.suffix == ".safetensors":
            if not source.is_file():
                raise _missing(spec, condition, source, "no such file")
            return source
    elif spec.packaged:
        source = Path(spec.packaged)
    else:
        source = folder / spec.name
        ready = folder / spec.converted
        if spec.converted and _is_own_product(ready, spec.sha256):
            return ready
    absent = path is None and not spec.packaged and not source.is_file()
    if absent and spec.url and _downloads_allowed():
        logger.warning(
            "Fetching %s (%s, licence %s) from %s, as COMPOSER_PL_ALLOW_DOWNLOADS=1 allows.",
            spec.name,
            human_size(spec.size),
            spec.license,
            spec.url,
        )
        return fetch(spec, condition=condition, convert=convert)
    digest = _checked_digest(spec, condition, source)
    if not spec.converted:
        return source
    return _convert(spec, condition, source, digest, convert)


def fetch(
    spec: WeightSpec,
    *,
    condition: str,
    source: str | Path | None = None,
    convert: Convert | None = None,
    progress: Progress | None = None,
) -> Path:
    """Bring a file into the cache, check it, and convert it where the spec says so.

    A file that is already there and right is left alone; one that is wrong is moved aside under
    the name `NAME.wrong`. One that a package ships is checked and stays where it is.

    Args:
        spec: The file.
        condition: Entry-point name of the plugin, for messages.
        source: A file on disk to copy instead of downloading from `spec.url`.
        convert: The plugin's `convert_weights`; without it the file is only fetched.
        progress: Called while bytes arrive.

    Returns:
        What `resolve` will answer: the file, or the safetensors made of it.

    Raises:
        MissingWeightsError: It could not be fetched or written, or its digest is wrong.
    """
    if spec.packaged:
        return resolve(spec, condition=condition, convert=convert)
    from composer_pl.plugin.downloads import store  # urllib is needed here only

    target = weights_folder() / spec.name
    digest = None
    if target.is_file() and source is None:
        try:
            digest = _checked_digest(spec, condition, target)
        except MissingWeightsError:
            logger.warning("%s is not the expected file; moving it aside.", target)
    if digest is None:
        if source is None and not spec.url:
            raise _missing(spec, condition, target, "no such file")
        address = spec.url if source is None else Path(source).expanduser().absolute().as_uri()
        digest = store(spec, address, target, condition=condition, progress=progress)
        remember(target, digest)
    if spec.converted and convert is not None:
        return _convert(spec, condition, target, digest, convert)
    return target


def human_size(size: int) -> str:
    """Bytes as a person reads them, such as `890 MB`; `size unknown` for 0."""
    if size <= 0:
        return "size unknown"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}"
    return f"{size} bytes"


def _downloads_allowed() -> bool:
    return os.environ.get("COMPOSER_PL_ALLOW_DOWNLOADS") == "1"


def _missing(spec: WeightSpec, condition: str, place: Path, found: str) -> MissingWeightsError:
    """The error with file, place, address, size, licence, digest and command."""
    digest = f", sha256 {spec.sha256}" if spec.sha256 else ""
    # The file is named, as the default settings may want another one.
    command = f"composer-pl plugins fetch {condition} --file {spec.name}"
    where = f"from {spec.url}"
    if not spec.url:
        where, command = f"to be had from: {spec.origin}", f"{command} --from FILE"
    if spec.packaged:
        where, action = "shipped inside its package", "reinstall that package"
        if place != Path(spec.packaged):
            action = "correct the path, or leave it out, as the package ships the file"
    elif place.parent == weights_folder():
        action = f"`{command}`, or put the file there"
    else:  # a path that the user gave; fetching does not bring anything there
        action = f"correct the path, or leave it out and use `{command}`"
    return MissingWeightsError(
        f"Loading weights of the condition {condition!r}: expected {spec.name} at {place}, found "
        f"{found}. The file: {human_size(spec.size)}, licence {spec.license}{digest}, {where}. "
        f"Next: {action}."
    )


def _checked_digest(spec: WeightSpec, condition: str, path: Path) -> str:
    """Return the digest of a file after holding it to the spec.

    Raises:
        MissingWeightsError: The file is absent, unreadable, or another one.
    """
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise _missing(spec, condition, path, "something that is no file")
        digest = remembered(path).get("sha256") or file_digest(path)
    except FileNotFoundError:
        raise _missing(spec, condition, path, "no such file") from None
    except OSError as error:
        raise _missing(
            spec, condition, path, f"a file that cannot be read ({error.strerror})"
        ) from error
    if spec.sha256 and digest != spec.sha256:
        raise _missing(spec, condition, path, f"another file ({size} bytes, sha256 {digest})")
    if not spec.sha256 and spec.size and size != spec.size:
        raise _missing(spec, condition, path, f"a file of {size} bytes instead of {spec.size}")
    remember(path, digest)
    return digest


def _convert(
    spec: WeightSpec, condition: str, source: Path, digest: str, convert: Convert | None
) -> Path:
    """Make the converted file of a checked source, once, and return it."""
    assert convert is not None
    name = Path(spec.converted)
    if not spec.sha256:  # any file may be behind this name, so the name says which
        name = Path(f"{name.stem}-{digest[:16]}{name.suffix}")
    target = weights_folder() / name
    if _is_own_product(target, digest):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as part:
            convert(spec, source, part)
            product = file_digest(part)
    except ComposerPLError:
        raise
    except Exception as error:
        raise MissingWeightsError(
            f"Converting weights of the condition {condition!r} from {source} to {target} failed: "
            f"{type(error).__name__}: {error}. Next: free space or correct permissions there, or "
            f"get the file anew with `composer-pl plugins fetch {condition} --file {spec.name}`."
        ) from error
    remember(target, product, made_of=digest)
    return target


def _is_own_product(path: Path, source_digest: str) -> bool:
    """True for a converted file that we made of the source with this digest, and unchanged."""
    record = remembered(path, fresh_only=False)
    if not path.is_file() or not record.get("made_of"):
        return False
    if source_digest and record["made_of"] != source_digest:
        return False
    if remembered(path):
        return True
    if file_digest(path) != record["sha256"]:
        return False
    remember(path, record["sha256"], made_of=record["made_of"])
    return True
