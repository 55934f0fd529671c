"""Models by their name on the Hugging Face Hub: `owner/name`, or `owner/name@revision`.

Three files are fetched, none of which can run code: `config.json`, and only when that is ours,
`model.safetensors` and `README.md`. huggingface_hub keeps them in its own cache, asks the Hub
whether they changed, and is an optional library (`pip install 'composer-pl[hub]'`). What lies on
disk under the name, or is shipped under it, goes before the Hub. `HF_HUB_OFFLINE=1` or
`COMPOSER_PL_OFFLINE=1` takes what is in the cache.
"""

import json
import logging
import os
import re
from pathlib import Path

from safetensors import SafetensorError, safe_open

from composer_pl.errors import CheckpointError
from composer_pl.models.cards import CARD
from composer_pl.models.description import NAMES, kind_of
from composer_pl.models.pretrained import CONFIG, WEIGHTS, model_path
from composer_pl.plugin.digests import file_digest, remember, remembered
from composer_pl.plugin.requirements import require

logger = logging.getLogger(__name__)

FILES = (CONFIG, WEIGHTS, CARD)
"""All that is ever fetched or uploaded."""
OFFLINE = ("COMPOSER_PL_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables; `1`, `true`, `yes` or `on` in either forbids the network."""
INSTALL = "'composer-pl[hub]'"

_ID = re.compile(r"(?P<owner>\w[\w.-]*)/(?P<name>\w[\w.-]*)(@(?P<revision>[\w./-]+))?", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")


def located(path: str | Path) -> Path:
    """Where a model lies: a path that exists, else a shipped model, else one of the Hub.

    Args:
        path: A folder or file, the name of a shipped model, or a name on the Hub. Text that is none
            of these comes back as a path, for the reader to refuse.

    Raises:
        CheckpointError: The Hub has no such model, or it cannot be reached and the cache has none.
        MissingDependencyError: It looks like a name on the Hub and huggingface_hub is missing.
    """
    found = model_path(path)
    if found.exists() or not is_hub_id(str(path)):
        return found
    return _snapshot(str(path))


def is_hub_id(text: str) -> bool:
    """Whether a text that is no path of this machine can only be a name on the Hub.

    A misspelt path is none: its first folder exists, or it ends like a file of a model.
    """
    match = _ID.fullmatch(text)
    if match is None or ".." in text or text.endswith((".ckpt", ".safetensors", ".json", ".pt")):
        return False
    return not Path(match["owner"]).exists()


def offline() -> str:
    """The environment variable that forbids the network; empty when none does."""
    yes = {"1", "true", "yes", "on"}
    return next((name for name in OFFLINE if os.environ.get(name, "").lower() in yes), "")


def _snapshot(name: str) -> Path:
    """The folder of the cache that holds a model of the Hub."""
    repository, _, revision = name.partition("@")
    config = _fetch(name, repository, CONFIG, revision or None)
    _refuse_foreign(name, config)
    # Files of one model belong to one state of the repository, which the cache's folder is called.
    commit = config.parent.name
    weights = _fetch(name, repository, WEIGHTS, commit)
    _refuse_damaged(name, weights)
    try:
        _fetch(name, repository, CARD, commit)
    except CheckpointError as error:  # a card is for people
        logger.debug("%s", error)
    return config.parent


def _fetch(name: str, repository: str, file: str, revision: str | None) -> Path:
    """One file of the cache, brought up to date unless offline.

    Raises:
        CheckpointError: It is not to be had; says why and what to do.
    """
    needed_by = f"Looking for {name!r}, which is no path here, on the Hugging Face Hub"
    hub = require("huggingface_hub", needed_by=needed_by, install=INSTALL)
    errors = require("huggingface_hub.errors", needed_by=needed_by, install=INSTALL)
    variable = offline()
    try:
        if variable:  # its own `local_files_only` still asks for other things
            found = hub.try_to_load_from_cache(repository, file, revision=revision)
        else:
            found = hub.hf_hub_download(repository, file, revision=revision)
    except errors.GatedRepoError as error:
        reason = "a gated repository"
        advice = "ask for access on its page, then `hf auth login`"
        raise _refusal(name, file, reason, advice) from error
    except errors.RevisionNotFoundError as error:
        reason, advice = f"no revision {revision!r}", "correct what stands after the @"
        raise _refusal(name, file, reason, advice) from error
    except errors.RepositoryNotFoundError as error:
        reason = "no such folder here, and no such repository there"
        advice = "correct the path or name; for a private repository, `hf auth login`"
        raise _refusal(name, file, reason, advice) from error
    except errors.LocalEntryNotFoundError as error:  # before EntryNotFoundError, its parent
        reason = "no such folder here, no copy in the cache, and the Hub out of reach"
        advice = "correct the path, connect to the network, or give a model folder"
        raise _refusal(name, file, reason, advice) from error
    except errors.EntryNotFoundError as error:
        reason = f"a repository without {file}"
        raise _refusal(name, file, reason, "name one that composer-pl wrote") from error
    except (OSError, ValueError) as error:  # HTTP, disk, a name that the Hub forbids
        reason = f"{type(error).__name__}: {_first_line(error)}"
        advice = "try again, or give a model folder"
        raise _refusal(name, file, reason, advice) from error
    if not isinstance(found, str):
        reason = f"no such folder here and no copy in the cache, while {variable} is set"
        advice = f"correct the path, or unset {variable} once to fetch it"
        raise _refusal(name, file, reason, advice)
    return Path(found)


def _refuse_foreign(name: str, config: Path) -> None:
    """Refuse a repository of something else before its weights are fetched."""
    try:
        description = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        found = f"a damaged one ({_first_line(error)})"
        raise _refusal(name, CONFIG, found, "name another, or tell its owner") from error
    if not isinstance(description, dict) or "format" not in description:
        raise _refusal(name, CONFIG, "a model of something else", "name one of composer-pl")
    if kind_of(description) not in NAMES:
        raise _refusal(
            name, CONFIG, "a kind of model that this version does not know", "update composer-pl"
        )


def _refuse_damaged(name: str, weights: Path) -> None:
    """Hold the weights to their sha256, which the Hub tells and the cache calls its file.

    huggingface_hub checks sizes. The digest is computed once for each state of the file.
    """
    blob = weights.resolve()
    if not _SHA256.fullmatch(blob.name):  # a cache without links
        return
    digest = remembered(blob).get("sha256") or file_digest(blob)
    if digest != blob.name:
        found = f"a damaged copy in the cache, {blob} (sha256 {digest})"
        raise _refusal(name, WEIGHTS, found, "delete that file and try again")
    remember(blob, digest)


def push_to_hub(folder: str | Path, repository: str, *, private: bool = True) -> str:
    """Upload a model folder: its `config.json`, `model.safetensors` and `README.md`, nothing else.

    Args:
        folder: A folder that `save_model` wrote.
        repository: `owner/name`; made when there is none.
        private: Whether a new repository is private; one that exists stays as it is. Who makes it
            public should have read the card's licences.

    Returns:
        The address of the upload.

    Raises:
        CheckpointError: It is no model folder, or the Hub did not take it.
        MissingDependencyError: huggingface_hub is missing.
    """
    folder = Path(folder)
    doing = f"Uploading {str(folder)!r} to {repository!r}"
    match = _ID.fullmatch(repository)
    if match is None or match["revision"]:
        raise CheckpointError(
            f"{doing}: a name such as 'owner/name' was expected, found {repository!r}. "
            f"Next: correct it."
        )
    problem = _problem(folder)
    if problem:
        raise CheckpointError(
            f"{doing}: a model folder with {', '.join(FILES)} was expected, found {problem}. "
            f"Next: write one with `save_pretrained`."
        )
    if variable := offline():
        raise CheckpointError(
            f"{doing}: a network was expected, found {variable} set. Next: unset it."
        )
    hub = require("huggingface_hub", needed_by=doing, install=INSTALL)
    try:
        hub.create_repo(repository, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=list(FILES),
            commit_message="A model of composer-pl",
        )
    except (OSError, ValueError) as error:  # HTTP errors are OSErrors
        raise CheckpointError(
            f"{doing}: the Hub was expected to take it, found {type(error).__name__}: "
            f"{_first_line(error)}. Next: `hf auth login` with a token that may write there, then "
            f"try again."
        ) from error
    return str(commit.commit_url)


def _problem(folder: Path) -> str:
    """What a folder lacks to be a model; empty when nothing."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        return f"no {missing[0]}"
    try:
        description = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        with safe_open(folder / WEIGHTS, "pt") as weights:
            weights.keys()
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        return f"{type(error).__name__}: {_first_line(error)}"
    if not isinstance(description, dict) or "format" not in description:
        return f"a {CONFIG} of something else"
    return ""


def _refusal(name: str, file: str, found: str, advice: str) -> CheckpointError:
    return CheckpointError(
        f"Loading a model from {name!r}: expected {file} of a composer-pl model on the Hugging "
        f"Face Hub, found {found}. Next: {advice}."
    )


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0].rstrip(".")
