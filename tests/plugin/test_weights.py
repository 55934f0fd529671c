import hashlib
import http.server
import io
import logging
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from composer_pl.errors import ConfigError, MissingWeightsError
from composer_pl.plugin import WeightSpec, downloads, resolve_weights, weights
from composer_pl.plugin.digests import weights_folder

DATA = b"weights of a network" * 1000
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def spec(tmp_path):
    source = tmp_path / "server" / "net.bin"
    source.parent.mkdir()
    source.write_bytes(DATA)
    return WeightSpec(
        name="net.bin",
        url=source.as_uri(),
        sha256=SHA,
        size=len(DATA),
        license="Apache-2.0",
        origin="A paper, 2023",
    )


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(downloads.time, "sleep", lambda seconds: None)


def put(data=DATA, name="net.bin"):
    path = weights_folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def reverse(spec, source, target):
    target.write_bytes(source.read_bytes()[::-1])


def test_folder_follows_the_environment(monkeypatch, tmp_path):
    assert weights_folder() == tmp_path / "weights-cache"
    monkeypatch.delenv("COMPOSER_PL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert weights_folder() == tmp_path / "xdg" / "composer-pl" / "weights"
    assert not weights_folder().exists()


def test_missing_weights_say_file_place_address_size_licence_digest_and_command(spec):
    with pytest.raises(MissingWeightsError) as caught:
        resolve_weights(spec, condition="depth")
    message = str(caught.value)
    for fact in (
        spec.name,
        str(weights_folder() / "net.bin"),
        spec.url,
        "20 kB",
        "Apache-2.0",
        SHA,
        "composer-pl plugins fetch depth",
    ):
        assert fact in message
    assert not weights_folder().exists()


def test_weights_without_an_address_say_where_a_user_gets_them(spec):
    with pytest.raises(MissingWeightsError, match=r"A paper, 2023.*--file net\.bin --from FILE"):
        resolve_weights(replace(spec, url=""), condition="sketch")


def test_the_command_names_the_file_as_default_settings_may_want_another(spec):
    with pytest.raises(MissingWeightsError, match=r"plugins fetch depth --file net\.bin`"):
        resolve_weights(spec, condition="depth")


def test_a_path_of_the_user_that_is_wrong_is_to_be_corrected(spec, tmp_path):
    with pytest.raises(MissingWeightsError, match=r"absent\.bin.*Next: correct the path, or leave"):
        resolve_weights(spec, condition="depth", path=tmp_path / "absent.bin")


def test_a_right_file_in_the_cache_is_used(spec):
    path = put()
    assert resolve_weights(spec, condition="depth") == path


def test_a_wrong_file_is_never_used_nor_touched(spec):
    path = put(b"something else")
    with pytest.raises(MissingWeightsError, match="found another file"):
        resolve_weights(spec, condition="depth")
    assert path.read_bytes() == b"something else"


def test_a_file_that_changes_later_is_found_out(spec):
    path = put()
    resolve_weights(spec, condition="depth")
    path.write_bytes(DATA[:-1] + b"X")
    with pytest.raises(MissingWeightsError, match="another file"):
        resolve_weights(spec, condition="depth")


def test_a_digest_is_computed_once_for_each_state_of_a_file(spec, monkeypatch):
    put()
    resolve_weights(spec, condition="depth")
    monkeypatch.setattr(weights, "file_digest", lambda path: pytest.fail("read again"))
    resolve_weights(spec, condition="depth")


def test_a_cache_that_cannot_be_written_still_serves(spec, monkeypatch):
    path = put()
    (weights_folder() / ".checked").write_text("in the way")
    assert resolve_weights(spec, condition="depth") == path


def test_a_path_is_used_offline_and_held_to_the_digest(spec, tmp_path):
    own = tmp_path / "own.bin"
    own.write_bytes(DATA)
    assert resolve_weights(spec, condition="depth", path=own) == own
    own.write_bytes(b"tuned")
    with pytest.raises(MissingWeightsError, match="another file"):
        resolve_weights(spec, condition="depth", path=own)
    free = replace(spec, sha256="", size=0)
    assert resolve_weights(free, condition="depth", path=str(own)) == own
    with pytest.raises(MissingWeightsError, match="no such file"):
        resolve_weights(spec, condition="depth", path=tmp_path / "absent.bin")


def test_nothing_is_downloaded_without_consent(spec, monkeypatch):
    monkeypatch.setattr(downloads, "store", lambda *_, **__: pytest.fail("downloaded"))
    with pytest.raises(MissingWeightsError):
        resolve_weights(spec, condition="depth")


def test_with_consent_the_download_is_announced(spec, monkeypatch, caplog):
    monkeypatch.setenv("COMPOSER_PL_ALLOW_DOWNLOADS", "1")
    with caplog.at_level(logging.WARNING):
        path = resolve_weights(spec, condition="depth")
    assert path.read_bytes() == DATA
    assert "20 kB" in caplog.text
    assert "Apache-2.0" in caplog.text


def test_fetch_reports_progress_and_leaves_one_file(spec):
    seen = []
    path = weights.fetch(spec, condition="depth", progress=lambda *now: seen.append(now))
    assert seen[-1] == (len(DATA), len(DATA))
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == ["net.bin"]
    assert weights.fetch(spec, condition="depth") == path


def test_fetch_throws_a_wrong_download_away(spec):
    with pytest.raises(MissingWeightsError, match=f"expected sha256 {'0' * 64}, found {SHA}"):
        weights.fetch(replace(spec, sha256="0" * 64), condition="depth")
    assert list(weights_folder().iterdir()) == []


def test_fetch_moves_a_wrong_file_aside(spec):
    path = put(b"something else")
    assert weights.fetch(spec, condition="depth").read_bytes() == DATA
    assert path.with_name("net.bin.wrong").read_bytes() == b"something else"


def test_processes_of_one_number_fetch_one_file(spec, monkeypatch):
    """Two machines share the cache, and both call their process 7."""
    rivals = []

    def rival(*_):
        if not rivals:
            rivals.append(1)
            weights.fetch(spec, condition="depth")

    monkeypatch.setattr("os.getpid", lambda: 7)
    path = weights.fetch(spec, condition="depth", progress=rival)
    assert rivals
    assert path.read_bytes() == DATA
    left = [file.name for file in path.parent.iterdir() if file.is_file()]
    assert left == ["net.bin"], "the rival's file is no wrong one"


def test_fetch_from_disk_needs_no_address(spec, tmp_path):
    path = weights.fetch(
        replace(spec, url=""), condition="sketch", source=tmp_path / "server" / "net.bin"
    )
    assert path == weights_folder() / "net.bin"
    with pytest.raises(MissingWeightsError, match="No such file"):
        weights.fetch(spec, condition="sketch", source=tmp_path / "absent")


def test_a_wrong_file_from_disk_is_not_said_to_be_thrown_away(spec, tmp_path):
    own = tmp_path / "own.bin"
    own.write_bytes(b"something else")
    with pytest.raises(MissingWeightsError, match="nothing was copied") as caught:
        weights.fetch(spec, condition="depth", source=own)
    assert "thrown away" not in str(caught.value)
    assert own.read_bytes() == b"something else"


def test_a_place_that_cannot_be_written_is_a_clear_error(spec):
    weights_folder().parent.mkdir(exist_ok=True)
    weights_folder().write_text("a file where the folder should be")
    with pytest.raises(MissingWeightsError, match="COMPOSER_PL_CACHE"):
        weights.fetch(spec, condition="depth")


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(spec, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(downloads.os, "fsync", full)
    with pytest.raises(MissingWeightsError, match="No space left on device"):
        weights.fetch(spec, condition="depth")
    assert list(weights_folder().iterdir()) == []


@pytest.mark.parametrize("url", ["ftp://host/x", "data:,x", "weights.bin"])
def test_other_schemes_are_refused(spec, url):
    with pytest.raises(MissingWeightsError, match="expected an https address"):
        weights.fetch(replace(spec, url=url), condition="depth")


def test_plain_http_needs_a_digest(spec):
    with pytest.raises(MissingWeightsError, match="expected an https address"):
        weights.fetch(replace(spec, url="http://127.0.0.1:9/x", sha256=""), condition="depth")


def test_without_a_digest_a_redirection_to_plain_http_is_refused(spec, monkeypatch):
    class Reply(io.BytesIO):
        url, headers = "http://elsewhere.example/net.bin", {}

    monkeypatch.setattr(downloads.urllib.request, "urlopen", lambda *_, **__: Reply(DATA))
    free = replace(spec, url="https://example.org/net.bin", sha256="")
    with pytest.raises(MissingWeightsError, match="redirected to http://elsewhere"):
        weights.fetch(free, condition="depth")
    assert weights.fetch(replace(free, sha256=SHA), condition="depth").read_bytes() == DATA


def test_offline_is_a_clear_error(spec):
    with pytest.raises(MissingWeightsError, match="no connection after 3 attempts"):
        weights.fetch(replace(spec, url="http://127.0.0.1:9/net.bin"), condition="depth")


class Flaky(http.server.BaseHTTPRequestHandler):
    """Answers with the codes of `script`, then with the data; `short` announces more."""

    def do_GET(self):
        step = self.server.script.pop(0) if self.server.script else "ok"
        if isinstance(step, int):
            self.send_error(step)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(DATA) * (2 if step == "short" else 1)))
        self.end_headers()
        self.wfile.write(DATA)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.HTTPServer(("127.0.0.1", 0), Flaky) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("script", [[503, 503], ["short"], [429, "short"]])
def test_passing_faults_are_retried(spec, server, script):
    server.script = list(script)
    spec = replace(spec, url=f"http://127.0.0.1:{server.server_port}/net.bin")
    assert weights.fetch(spec, condition="depth").read_bytes() == DATA


@pytest.mark.parametrize(
    ("script", "found"),
    [([404], "404"), ([503] * 3, "503"), (["short"] * 3, "20000 of 40000 bytes arrived")],
)
def test_lasting_faults_end_the_attempts(spec, server, script, found):
    server.script = list(script)
    spec = replace(spec, url=f"http://127.0.0.1:{server.server_port}/net.bin")
    with pytest.raises(MissingWeightsError, match=found):
        weights.fetch(spec, condition="depth")
    assert list(weights_folder().iterdir()) == []


# -- conversion ------------------------------------------------------------------------------------


@pytest.fixture
def unsafe(spec):
    return replace(spec, converted="net.safetensors")


def test_a_file_is_converted_once_and_only_the_product_is_read_later(unsafe):
    source = put()
    path = resolve_weights(unsafe, condition="caption", convert=reverse)
    assert path == weights_folder() / "net.safetensors"
    assert path.read_bytes() == DATA[::-1]
    source.unlink()
    never = lambda *_: pytest.fail("converted again")  # noqa: E731
    assert resolve_weights(unsafe, condition="caption", convert=never) == path


def test_processes_of_one_number_convert_one_file(unsafe, monkeypatch):
    rivals = []

    def slow(spec, source, target):
        target.write_bytes(b"half of it")
        if not rivals:
            rivals.append(1)
            resolve_weights(unsafe, condition="caption", convert=slow)
        reverse(spec, source, target)

    monkeypatch.setattr("os.getpid", lambda: 7)
    put()
    path = resolve_weights(unsafe, condition="caption", convert=slow)
    assert rivals
    assert path.read_bytes() == DATA[::-1]
    assert not list(weights_folder().rglob(".[0-9]*"))


def test_fetch_converts_at_once(unsafe):
    path = weights.fetch(unsafe, condition="caption", convert=reverse)
    assert path.name == "net.safetensors"


def test_a_product_that_we_did_not_make_is_not_trusted(unsafe):
    put(b"planted", "net.safetensors")
    with pytest.raises(MissingWeightsError):
        resolve_weights(unsafe, condition="caption", convert=reverse)
    put()
    path = resolve_weights(unsafe, condition="caption", convert=reverse)
    assert path.read_bytes() == DATA[::-1]
    path.write_bytes(b"changed")
    assert resolve_weights(unsafe, condition="caption", convert=reverse).read_bytes() == DATA[::-1]


def test_a_product_of_other_weights_is_made_anew(unsafe):
    put()
    resolve_weights(unsafe, condition="caption", convert=reverse)
    put(b"version 2")
    newer = replace(unsafe, sha256=hashlib.sha256(b"version 2").hexdigest(), size=9)
    assert resolve_weights(newer, condition="caption", convert=reverse).read_bytes() == b"2 noisrev"


def test_a_users_own_files_are_converted_under_a_name_of_their_digest(unsafe, tmp_path):
    free = replace(unsafe, sha256="", size=0)
    paths = []
    for text in (b"one", b"two"):
        (tmp_path / "own.pt").write_bytes(text)
        paths.append(
            resolve_weights(free, condition="instances", path=tmp_path / "own.pt", convert=reverse)
        )
    assert paths[0] != paths[1]
    assert [path.read_bytes() for path in paths] == [b"eno", b"owt"]
    assert not (tmp_path / "own.safetensors").exists()


def test_a_safetensors_given_by_path_is_taken_as_it_is(unsafe, tmp_path):
    (tmp_path / "own.safetensors").write_bytes(b"mine")
    path = resolve_weights(
        unsafe, condition="instances", path=tmp_path / "own.safetensors", convert=reverse
    )
    assert path.read_bytes() == b"mine"


def test_a_failing_conversion_is_named_and_leaves_nothing(unsafe):
    put()

    def fail(spec, source, target):
        target.write_bytes(b"half")
        raise RuntimeError("unsafe global")

    with pytest.raises(MissingWeightsError, match="RuntimeError: unsafe global"):
        resolve_weights(unsafe, condition="instances", convert=fail)
    assert [file.name for file in weights_folder().iterdir() if file.is_file()] == ["net.bin"]


def test_converted_without_a_converter_is_refused(unsafe):
    with pytest.raises(ConfigError, match="convert_weights"):
        resolve_weights(unsafe, condition="instances")


# -- shipped inside a package ----------------------------------------------------------------------


@pytest.fixture
def packaged(spec, tmp_path):
    place = tmp_path / "package" / "net.bin"
    place.parent.mkdir()
    place.write_bytes(DATA)
    return replace(spec, url="", packaged=str(place))


def test_a_packaged_file_is_taken_from_its_package_and_never_from_the_cache(packaged):
    put(b"another of the same name")
    assert resolve_weights(packaged, condition="depth") == Path(packaged.packaged)
    assert weights.fetch(packaged, condition="depth") == Path(packaged.packaged)


def test_a_packaged_file_is_held_to_its_digest(packaged):
    Path(packaged.packaged).write_bytes(b"damaged")
    with pytest.raises(
        MissingWeightsError, match=r"another file \(7 bytes.*reinstall that package"
    ):
        resolve_weights(packaged, condition="depth")


def test_a_packaged_file_that_is_gone_is_not_downloaded(packaged, spec, monkeypatch):
    monkeypatch.setenv("COMPOSER_PL_ALLOW_DOWNLOADS", "1")
    Path(packaged.packaged).unlink()
    with pytest.raises(MissingWeightsError, match=r"no such file.*reinstall that package"):
        resolve_weights(replace(packaged, url=spec.url), condition="depth")


def test_a_users_file_stands_in_for_a_packaged_one(packaged, tmp_path):
    own = tmp_path / "own.bin"
    own.write_bytes(b"trained anew")
    free = replace(packaged, sha256="", size=0)
    assert resolve_weights(free, condition="depth", path=own) == own
    with pytest.raises(MissingWeightsError, match="leave it out, as the package ships the file"):
        resolve_weights(packaged, condition="depth", path=own)
