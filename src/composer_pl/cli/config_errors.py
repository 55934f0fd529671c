"""Turn jsonargparse's messages into one line with the nearest name.

Nothing here runs unless a configuration was refused; then the given keys are compared with the
parser's own, which finds the culprit more surely than the wording of a message does.
"""

import inspect
import re
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentParser

from composer_pl.cli.given_keys import GivenKey, UnreadableError, given_keys
from composer_pl.cli.policy import denying, plugin_packages
from composer_pl.errors import ComposerPLError, ConfigError, UnknownConditionError, nearest

CONDITIONS = "model.conditions"
_WORDS = ("class_path", "init_args", "dict_kwargs")


def explain(error: BaseException, parser: ArgumentParser, argv: Sequence[str]) -> ComposerPLError:
    """Return what to raise in place of an error of the parser.

    Args:
        error: What the parser raised.
        parser: Knows every legal key.
        argv: What it was given.
    """
    for cause in _chain(error):
        if isinstance(cause, ComposerPLError):
            return cause
    try:
        given = given_keys(argv)
    except UnreadableError as unreadable:
        return ConfigError(str(unreadable))
    return (
        _unknown_key(given, parser)
        or _bad_class(given)
        or _bad_condition_name(given)
        or ConfigError(
            f"Reading the configuration: {_ended(_readable(str(error)))} "
            f"Next: correct it; --help-all lists every option, configs/ has whole examples."
        )
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unknown_key(given: Sequence[GivenKey], parser: ArgumentParser) -> ConfigError | None:
    """The first given key that no option of the parser is, holds, or belongs to."""
    # The parser's own `--KEY.help` options would make a key look like a section.
    dests = {action.dest for action in parser._actions}
    known = {dest for dest in dests if not dest.endswith(".help")} | {"config"}
    groups = {name.rsplit(".", i)[0] for name in known for i in range(1, name.count(".") + 1)}
    legal = known | groups
    for key in given:
        if _nested(key.name, known) and isinstance(key.value, (list, int, float)):
            return ConfigError(
                f"Reading {key.origin}: options below {key.name!r} were expected, found "
                f"{key.value!r}. Next: correct it; configs/ has whole examples."
            )
        parents = {key.name.rsplit(".", i)[0] for i in range(key.name.count(".") + 1)}
        options = {name for name in parents & known if not _nested(name, known)}
        if key.name in legal or (options and not _closed(options, parser)):
            continue
        section, _, last = key.name.rpartition(".")
        siblings = sorted({n for n in legal if n.rpartition(".")[0] == section})
        guess = _guess(last, siblings, section)
        distant = [name for name in sorted(legal) if not key.name.startswith(name)]
        guess = guess or nearest(key.name, distant)
        if not guess and 0 < len(siblings) < 16:
            names = ", ".join(name.rpartition(".")[2] for name in siblings)
            guess = f"; {section or 'a configuration'} has {names}"
        return ConfigError(
            f"Reading {key.origin}: no option {key.name!r}{_ended(guess)} "
            f"Next: correct it; --help-all lists every option."
        )
    return None


def _guess(last: str, siblings: Sequence[str], section: str) -> str:
    found = nearest(last, [name.rpartition(".")[2] for name in siblings])
    if found and section:
        found = re.sub(r"'([^']*)'\?$", lambda m: f"'{section}.{m[1]}'?", found)
    return found


def _ended(text: str) -> str:
    """A sentence with its full stop, unless it ends with a question."""
    return text if text.endswith("?") else f"{text}."


def _nested(name: str, known: set[str]) -> bool:
    return any(other.startswith(f"{name}.") for other in known)


def _closed(options: set[str], parser: ArgumentParser) -> bool:
    """Whether none of the options can hold keys of its own (a class, a mapping, a list)."""
    for action in parser._actions:
        if action.dest in options:
            text = str(getattr(action, "_typehint", ""))
            if re.search(r"dict|Dict|list|List|Callable|class|\.[A-Z]\w+|Config", text):
                return False
    return True


def _bad_class(given: Sequence[GivenKey]) -> ComposerPLError | None:
    """The first `class_path` that is not allowed, not there, or does not take its arguments."""
    holders: dict[str, str] = {}  # the last class given for each key wins, as in the parser
    for key in given:
        if key.name.endswith("class_path") and isinstance(key.value, str):
            holder = key.name.removesuffix(".class_path")
            problem = _class_problem(key.value, holder, key.origin)
            if problem is not None:
                return problem
            holders[holder] = key.value
    for holder, path in holders.items():
        cls = _resolve(path)
        legal = list(inspect.signature(cls.__init__).parameters)[1:]
        for argument, name in _arguments(given, holder):
            if name.partition(".")[0] not in legal:
                return ConfigError(
                    f"Reading {argument.origin}: {holder} ({cls.__name__}) has no argument "
                    f"{name!r}{_ended(nearest(name, legal))} It takes "
                    f"{', '.join(legal)}. Next: correct it."
                )
    return None


def _arguments(given: Sequence[GivenKey], holder: str) -> list[tuple[GivenKey, str]]:
    """The arguments given to the class at `holder`, with or without `init_args` in between."""
    inits = f"{holder}.init_args."
    names = [(k, k.name.removeprefix(inits)) for k in given if k.name.startswith(inits)]
    if holder.startswith(f"{CONDITIONS}."):
        short = f"{holder}."
        names += [
            (k, rest)
            for k in given
            if k.name.startswith(short)
            and (rest := k.name.removeprefix(short)).partition(".")[0] not in _WORDS
        ]
    return names


def refuse_abbreviations(parser: ArgumentParser, argv: Sequence[str]) -> None:
    """Refuse a prefix of an option, which argparse would complete silently.

    Raises:
        ConfigError: A word of the command line is the beginning of an option and none itself.
    """
    options = {option for action in parser._actions for option in action.option_strings}
    for word in argv:
        name = word.partition("=")[0].removesuffix("+")
        if not name.startswith("--") or name in options:
            continue
        completed = sorted(o for o in options if o.startswith(name) and o[len(name)] != ".")
        if completed:
            raise ConfigError(
                f"Reading the command line: no option {name!r}; did you mean {completed[0]!r}? "
                f"Next: correct it; --help-all lists every option."
            )


def _class_problem(path: str, holder: str, origin: str) -> ComposerPLError | None:
    package = path.partition(".")[0]
    doing = f"Reading {holder} of {origin}"
    if denying(path) and package.startswith("composer_pl_"):
        name = package.removeprefix("composer_pl_")
        installed = [p.removeprefix("composer_pl_") for p in plugin_packages()]
        return UnknownConditionError(
            name, installed, doing=doing, package=package.replace("_", "-")
        )
    if denying(path):
        return ConfigError(
            f"{doing}: a class of composer-pl, of an installed plugin, of torch.optim or a "
            f"Lightning callback, logger, strategy or profiler was expected, found {path!r}, which "
            f"was not imported. Next: use one of those, or install the plugin that provides it."
        )
    try:
        _resolve(path)
    except (ImportError, AttributeError):
        module, _, cls = path.rpartition(".")
        try:
            names = [n for n in dir(import_module(module)) if n[0].isupper()]
        except ImportError:
            names = []
        return ConfigError(
            f"{doing}: no class {path!r}{_ended(nearest(cls, names))} Next: correct it."
        )
    return None


def _resolve(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _bad_condition_name(given: Sequence[GivenKey]) -> ConfigError | None:
    """An override of a condition that the configuration does not list."""
    prefix = f"{CONDITIONS}."
    parts = [
        (key, key.name.removeprefix(prefix).partition(".")[0])
        for key in given
        if key.name.startswith(prefix)
    ]
    listed = {name for key, name in parts if key.origin != "the command line"}
    for key, name in parts:
        overriding = key.origin == "the command line" and key.name.count(".") > 2
        if overriding and name not in listed and not key.name.endswith("class_path"):
            return ConfigError(
                f"Reading {key.name!r}: the configuration lists no condition {name!r}"
                f"{_ended(nearest(name, listed))} It lists {', '.join(sorted(listed))}. "
                f"Next: correct the name."
            )
    return None


def _readable(message: str) -> str:
    """A message of the parser as one line, without its own decoration."""
    lines = [line.strip(" -*") for line in message.splitlines() if line.strip()]
    text = re.sub(r'Parser key "([^"]+)":', r"\1:", " ".join(lines))
    text = re.sub(r" tip: .*", "", text, flags=re.IGNORECASE)
    text = re.sub(r" Problem with given class_path '[^']*':", "", text)
    text = re.sub(r" Type collections\.abc\.Callable\[.*?\] expects a .*? class:", "", text)
    text = re.sub(r" Does not validate against .*? Errors:", "", text)
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text)
    text = re.sub(r"Expected a path but .*? either not accessible or invalid ?", "", text)
    if refused := re.search(r"^(\S+?):? .*?Option '(\w+)' is not accepted", text):
        return f"{refused[1]} has no option {refused[2]!r}"
    found = re.search(
        r"(?:Got|Given) value: (.*?)(?:[. ]+(?:(?:Got|Given) value|Expected)|$)", text
    )
    wanted = re.findall(r"Expected an? (typing\.Literal\[.*?\]|[\w.]+?\b)", text)
    if not found or not wanted:
        return text[:300].rstrip(". ")
    key = text.partition("Expected a")[0].strip()
    choices = [word for kind in wanted for word in re.findall(r"'([^']*)'", kind)]
    others = [
        "null" if kind == "NoneType" else kind
        for kind in wanted
        if "'" not in kind and kind != "dot"
    ]
    asked = " or ".join([*dict.fromkeys(others), *choices])
    value = found[1].strip("'. ")
    return f"{key} {asked} was expected, found {value!r}{nearest(value, choices)}"
