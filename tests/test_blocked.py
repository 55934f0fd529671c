"""The guard against networks works, here and in processes; 192.0.2.1 is nobody's address."""

import contextlib
import http.server
import socket
import threading
import urllib.request

import blocked
import pytest

NOBODY = ("192.0.2.1", 80)


def attempts_of(action):
    with blocked.network() as attempts:
        with pytest.raises(blocked.BlockedNetworkError, match="asked for the network"):
            action()
        return attempts


def connect(name):
    def action():
        with socket.socket() as ours:
            getattr(ours, name)(NOBODY)

    return action


def send():
    with socket.socket(type=socket.SOCK_DGRAM) as ours:
        ours.sendto(b"x", 0, NOBODY)


@pytest.mark.parametrize(
    ("action", "host"),
    [
        (connect("connect"), NOBODY[0]),
        (connect("connect_ex"), NOBODY[0]),
        (send, NOBODY[0]),
        (lambda: socket.create_connection(NOBODY), NOBODY[0]),
        (lambda: socket.getaddrinfo("pypi.org", 443), "pypi.org"),
        (lambda: socket.gethostbyname("pypi.org"), "pypi.org"),
        (lambda: urllib.request.urlopen("http://example.org/"), "example.org"),
    ],
)
def test_what_leads_outside_raises_and_is_counted(action, host):
    assert attempts_of(action) == [host]


def test_every_test_is_guarded_without_asking_for_it():
    with pytest.raises(blocked.BlockedNetworkError):
        socket.getaddrinfo("pypi.org", 443)
    assert blocked.CURRENT == ["pypi.org"]
    blocked.CURRENT.clear()  # or this test would fail for it, see below


def test_a_test_fails_for_what_it_kept_quiet():
    def body():
        with blocked.guarded_test(), contextlib.suppress(Exception):
            socket.getaddrinfo("pypi.org", 443)

    with pytest.raises(blocked.BlockedNetworkError, match=r"this test asked for pypi\.org"):
        body()
    blocked.CURRENT.clear()


def test_this_machine_can_be_reached():
    class Hello(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"hello")

        def log_message(self, format, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with urllib.request.urlopen(f"http://localhost:{server.server_port}/") as reply:
            assert reply.read() == b"hello"
        thread.join()


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), (None, True),
        (b"localhost", True), ("0.0.0.0", True), ("192.0.2.1", False), ("2001:db8::1", False),
        ("localhost.example.org", False), ("10.0.0.1", False),
    ],
)  # fmt: skip
def test_which_hosts_are_this_machine(host, local):
    assert blocked.is_local(host) is local


@pytest.mark.parametrize("kept_quiet", [False, True])
@pytest.mark.parametrize("own_namespace", [False, True])
def test_a_process_that_asks_for_the_network_is_found_out(monkeypatch, kept_quiet, own_namespace):
    if not own_namespace:
        monkeypatch.setattr(blocked, "_without_network", tuple)
    code = "import socket; socket.create_connection(('192.0.2.1', 80), timeout=2)"
    if kept_quiet:
        code = f"try:\n    {code}\nexcept Exception: pass"
    with pytest.raises(blocked.BlockedNetworkError, match=r"192\.0\.2\.1"):
        blocked.python("-c", code)


def test_a_guarded_process_runs_and_answers():
    ended = blocked.run("--version")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("composer-pl ")
