"""Models of the Hub: huggingface_hub itself against a server of this process; uploads are faked."""

import hashlib
import http.server
import inspect
import json
import sys
import threading
from pathlib import Path

import pytest
import torch

from composer_pl.errors import CheckpointError, MissingDependencyError
from composer_pl.models import hub as module
from composer_pl.models.hub import FILES, is_hub_id, located, push_to_hub
from composer_pl.models.storage import load_model, save_model

library = pytest.importorskip("huggingface_hub")
errors = pytest.importorskip("huggingface_hub.errors")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
EVIL = "open('/dev/null'); raise SystemExit('ran')"


class Server(http.server.ThreadingHTTPServer):
    """One repository, `someone/tiny`: its files, and what was asked for."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.requests = 0

    @property
    def names(self):
        """The files that were asked for, each once."""
        return list(dict.fromkeys(path.rpartition("/")[2] for path in self.asked))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def log_message(self, format, *args):
        pass

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        self.server.requests += 1
        if "/resolve/" not in self.path:  # the library's own business, such as its telemetry
            return self.send_error(404)
        self.server.asked.append(self.path)
        owner, name, resolve, revision, file = self.path.strip("/").split("/", 4)
        content = self.server.files.get(file)
        problem = ""
        if (owner, name, resolve) != ("someone", "tiny", "resolve"):
            problem = "RepoNotFound"
        elif revision not in ("main", "v1", COMMIT):
            problem = "RevisionNotFound"
        elif content is None:
            problem = "EntryNotFound"
        self.send_response(404 if problem else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        if problem:
            self.send_header("X-Error-Code", problem)
            self.send_header("Content-Length", "0")
        else:
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body and not problem:
            self.wfile.write(content)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A Hub on this machine, with a cache of its own."""
    from huggingface_hub import constants

    with Server() as running:
        address = f"http://127.0.0.1:{running.server_port}"
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.removeprefix(constants.ENDPOINT)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + template)
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        # Read once, where the library was first imported: an earlier test may have been offline.
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name in (*module.OFFLINE, "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(tmp_path)
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def repository(server, fake_plugins, model, tmp_path):
    """`someone/tiny` with a model, and with things that nobody must fetch."""
    folder = tmp_path / "saved"
    save_model(model, folder)
    (folder / "README.md").write_text("a card")
    server.files = {name: (folder / name).read_bytes() for name in FILES}
    server.files |= {"modeling.py": EVIL.encode(), "pytorch_model.bin": b"\x80\x04.", "a/b": b"x"}
    return server


def test_a_model_of_the_hub_loads_bit_by_bit_from_three_files(repository, model):
    loaded = load_model("someone/tiny")
    assert loaded.describe() == model.describe()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[name])
    assert repository.names == ["config.json", "model.safetensors", "README.md"]
    folder = located("someone/tiny@v1")
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)
    assert any("/resolve/v1/" in path for path in repository.asked)
    weights = [path for path in repository.asked if path.endswith("model.safetensors")]
    assert all(f"/resolve/{COMMIT}/" in path for path in weights), "one state of the repository"


@pytest.mark.parametrize("variable", module.OFFLINE)
def test_offline_takes_the_cache_and_asks_nobody(repository, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(CheckpointError, match=rf"no copy in the cache, while {variable} is set"):
        located("someone/tiny")
    assert repository.requests == 0
    monkeypatch.setenv(variable, "0")
    folder = located("someone/tiny")
    asked = repository.requests
    assert asked >= 3
    monkeypatch.setenv(variable, "on")
    assert located("someone/tiny") == folder
    with pytest.raises(CheckpointError, match="no copy in the cache"):
        located("someone/tiny@v1")
    assert repository.requests == asked


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("someone/else", r"no such folder here, and no such repository there\. Next: correct the"),
        ("someone/tiny@v9", r"no revision 'v9'\. Next: correct what stands after the @"),
    ],
)
def test_what_the_hub_has_not_is_one_line(repository, name, message):
    with pytest.raises(CheckpointError, match=message) as caught:
        load_model(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (b'{"model_type": "bert", "auto_map": {"AutoModel": "modeling.Bert"}}', "something else"),
        (b"{", "a damaged one"),
        (b"[1]", "something else"),
        (b'{"format": 1, "kind": "oracle"}', "does not know"),
        (None, "a repository without config.json"),
    ],
)
def test_a_foreign_repository_is_refused_before_its_weights(repository, config, found):
    if config is None:
        del repository.files["config.json"]
    else:
        repository.files["config.json"] = config
    with pytest.raises(CheckpointError, match=found) as caught:
        load_model("someone/tiny")
    assert "\n" not in str(caught.value)
    assert repository.names == ["config.json"]


def test_a_repository_needs_weights_but_no_card(repository, model):
    del repository.files["README.md"]
    assert load_model("someone/tiny").names == model.names
    del repository.files["model.safetensors"]
    Path(located("someone/tiny") / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"a repository without model\.safetensors"):
        load_model("someone/tiny")


def test_weights_that_changed_in_the_cache_are_refused(repository):
    blob = (located("someone/tiny") / "model.safetensors").resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"a damaged copy.*{blob.name}.*delete that file"):
        load_model("someone/tiny")


def test_what_lies_here_goes_before_the_hub(repository, tmp_path, model):
    save_model(model, tmp_path / "someone" / "tiny")
    assert located("someone/tiny") == Path("someone/tiny")
    with pytest.raises(CheckpointError, match="found nothing there"):
        load_model("someone/tin")  # a misspelt path
    assert repository.asked == []


@pytest.mark.parametrize(
    "text",
    [
        *("scenes-64", "a/b/c", "/a/b", "./a", "../b", "a/", "a/..", "runs/last.ckpt", "a b/c"),
        *("a/model.safetensors", "~/model", "a\\b", "", "https://a/b", "a/b@", "a/b@x y"),
    ],
)
def test_paths_are_no_names_of_the_hub(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not is_hub_id(text)


def test_without_the_library_the_install_command_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(
        MissingDependencyError, match=r"no path here.*pip install 'composer-pl\[hub"
    ):
        load_model("someone/tiny")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errors.LocalEntryNotFoundError("no"), "the Hub out of reach. Next: correct the path, con"),
        (OSError(28, "No space left on device"), "No space left on device. Next: try again"),
        (errors.HFValidationError("bad\nname"), "HFValidationError: bad. Next"),
    ],
)
def test_a_failure_of_the_way_there_is_one_line(tmp_path, monkeypatch, error, message):
    def failing(repo_id, filename, *, revision):
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(library, "hf_hub_download", failing)
    with pytest.raises(CheckpointError) as caught:
        located("someone/tiny")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# -- uploads ---------------------------------------------------------------------------------------


@pytest.fixture
def uploads(monkeypatch):
    """What would be sent: calls that the installed library takes, and the files that it picks."""
    from huggingface_hub import CommitInfo
    from huggingface_hub.utils import filter_repo_objects

    for name in module.OFFLINE:
        monkeypatch.delenv(name, raising=False)
    sent = {}
    signatures = {name: inspect.signature(getattr(library, name)) for name in _UPLOADING}

    def create_repo(*args, **options):
        sent["repository"] = signatures["create_repo"].bind(*args, **options).arguments

    def upload_folder(**options):
        found = signatures["upload_folder"].bind(**options).arguments
        root = Path(found["folder_path"])
        files = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        picked = filter_repo_objects(files, allow_patterns=found["allow_patterns"])
        sent["files"] = sorted(picked)
        return CommitInfo(
            commit_url="https://huggingface.co/someone/tiny/commit/1",
            commit_message="",
            commit_description="",
            oid="1",
        )

    monkeypatch.setattr(library, "create_repo", create_repo)
    monkeypatch.setattr(library, "upload_folder", upload_folder)
    return sent


_UPLOADING = ("create_repo", "upload_folder")


@pytest.fixture
def folder(fake_plugins, model, tmp_path):
    """A model folder with more in it than belongs there."""
    save_model(model, tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("a card")
    for name in ("secret.txt", "modeling.py", "sub/config.json", "model.safetensors.bak"):
        path = tmp_path / "m" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("no")
    return tmp_path / "m"


def test_exactly_three_files_are_uploaded_and_a_new_repository_is_private(folder, uploads):
    assert push_to_hub(folder, "someone/tiny").startswith("https://huggingface.co/someone/tiny")
    assert uploads["files"] == sorted(FILES)
    asked = uploads["repository"]
    assert (asked["repo_id"], asked["private"], asked["exist_ok"]) == ("someone/tiny", True, True)
    push_to_hub(folder, "someone/tiny", private=False)
    assert uploads["repository"]["private"] is False


@pytest.mark.parametrize("damage", [*FILES, "foreign", "cut"])
def test_a_folder_that_is_no_model_is_not_uploaded(folder, uploads, damage):
    if damage == "foreign":
        (folder / "config.json").write_text(json.dumps({"auto_map": {}}))
    elif damage == "cut":
        (folder / "model.safetensors").write_bytes(b"12345678")
    else:
        (folder / damage).unlink()
    with pytest.raises(CheckpointError, match=r"Next: write one with `save_pretrained`\.$"):
        push_to_hub(folder, "someone/tiny")
    assert uploads == {}


@pytest.mark.parametrize("name", ["tiny", "someone/tiny@v1", "a/b/c", "../x"])
def test_a_name_that_is_none_is_not_uploaded_to(folder, uploads, name):
    with pytest.raises(CheckpointError, match="a name such as 'owner/name' was expected"):
        push_to_hub(folder, name)
    assert uploads == {}


def test_offline_uploads_nothing(folder, uploads, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_OFFLINE", "1")
    with pytest.raises(CheckpointError, match=r"found COMPOSER_PL_OFFLINE set\. Next: unset it"):
        push_to_hub(folder, "someone/tiny")
    assert uploads == {}


def test_a_refused_upload_is_one_line_with_the_login(folder, uploads, monkeypatch):
    def refused(**options):
        raise OSError("403 Forbidden\nbecause")

    monkeypatch.setattr(library, "upload_folder", refused)
    with pytest.raises(CheckpointError, match=r"403 Forbidden\. Next: `hf auth login`") as caught:
        push_to_hub(folder, "someone/tiny")
    assert "\n" not in str(caught.value)
