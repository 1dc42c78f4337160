"""The command `redisess`: what it says and how it ends, whatever is missing or wrong."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from html import unescape
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

import redisess_cli
from redisess_core import SessionManager, __version__
from support.demo import COMMAND, Demo, interruptible


@pytest.fixture
def command(monkeypatch, capsys):
    """Run the command in this process; give its exit status, and what it said on stdout and stderr."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["redisess", *arguments])
        status = 0
        try:
            redisess_cli.main()
        except SystemExit as ending:
            status = ending.code
        if isinstance(status, str):  # as the interpreter does
            sys.stderr.write(f"{status}\n")
            status = 1
        said = capsys.readouterr()
        return status or 0, said.out, said.err

    return run


@pytest.fixture
def without(tmp_path):
    """Run the command as a process for which a package is not installed."""

    def run(package, *arguments):
        shim = tmp_path / package
        shim.mkdir()
        (shim / "__init__.py").write_text(f'raise ModuleNotFoundError("No module named {package}", name="{package}")\n')
        env = {**os.environ, "PYTHONPATH": str(tmp_path)}
        return subprocess.run([COMMAND, *arguments], env=env, capture_output=True, text=True, timeout=60, check=False)

    return run


def nothing_listens_at():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


# Its libraries


def test_without_the_extra_the_version_is_told(without):
    done = without("typer", "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"redisess {__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("demo",), ("--help",)])
def test_without_the_extra_every_other_verb_says_what_to_install(without, arguments):
    done = without("typer", *arguments)
    assert done.returncode == 1
    assert done.stderr == 'redisess: typer is not installed, which this needs: pip install "redisess[cli]"\n'
    assert not done.stdout


def test_where_typer_alone_is_installed_the_demo_says_what_to_install(without):
    done = without("flask", "demo", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == 'redisess: flask is not installed, which this needs: pip install "redisess[cli]"\n'


def test_without_the_embedded_server_the_demo_says_what_to_install(without):
    done = without("fakeredis", "demo", "--port", "0")
    assert done.returncode == 1
    assert done.stderr == 'redisess: memory:// needs an extra: pip install "redisess[memory]"\n'


def test_the_version_needs_neither_typer_nor_flask_nor_an_embedded_server(tmp_path):
    seen = "import sys, redisess_cli; redisess_cli.main(); print({'typer', 'flask', 'fakeredis'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", seen, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"redisess {__version__}\nset()\n"


def test_a_bug_of_ours_is_not_taken_for_a_missing_package(monkeypatch, command):
    monkeypatch.setitem(sys.modules, "redisess_cli.command", None)
    with pytest.raises(ModuleNotFoundError, match="redisess_cli"):
        command("demo")


def test_ctrl_c_before_anything_runs_leaves_no_traceback(monkeypatch, command):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(redisess_cli, "_run", interrupted)
    assert command("demo") == (130, "", "")


# Help


def test_bare_it_shows_its_verbs(command):
    _, out, _ = command()
    assert "demo" in out
    assert "check" in out
    assert "verify" in out


def test_the_help_of_the_demo_names_its_options_and_defaults(command):
    status, out, _ = command("demo", "--help")
    assert status == 0
    for expected in ("--port", "8000", "--url", "memory://", "127.0.0.1"):
        assert expected in out


def test_a_version_after_other_options_is_told_too(command):
    assert command("--version") == (0, f"redisess {__version__}\n", "")
    assert command("--version", "demo")[0] == 0


@pytest.mark.parametrize(
    "arguments", [("nonsense",), ("demo", "--port", "x"), ("demo", "--port", "70000"), ("check",), ("verify",)]
)
def test_a_wrong_option_or_verb_is_a_wrong_usage(command, arguments):
    status, out, err = command(*arguments)
    assert status == 2
    assert not out
    assert "Traceback" not in err


# The demo's start and end


def test_the_demo_starts_and_ends_as_often_as_it_is_asked_to():
    for _ in range(2):
        with Demo() as demo:
            assert demo.url.startswith("http://127.0.0.1:")


def test_in_a_terminal_it_says_where_it_is_and_how_to_stop_and_ctrl_c_stops_it():
    terminal, theirs = pty.openpty()
    with interruptible():
        process = subprocess.Popen(
            [COMMAND, "demo", "--port", "0"], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
    os.close(theirs)
    try:
        said = read_until(terminal, "Press Ctrl+C to stop.\r\n")
        where, kept, how = said.splitlines()
        found = re.fullmatch(r"The demo of redisess is at (http://127\.0\.0\.1:\d+)", where)
        assert found
        assert kept == "Its sessions are kept in this process, and end with it."
        assert how == "Press Ctrl+C to stop."
        with urlopen(f"{found[1]}/sign-in", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGINT)
        rest = read_until(terminal, "Stopped.\r\n")
        assert rest.split() == ["Stopped."]
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
        os.close(terminal)


def read_until(terminal, ending):
    said, deadline = "", time.monotonic() + 60
    while not said.endswith(ending):
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"It said only {said!r}"
        said += os.read(terminal, 4096).decode()
    return said


def test_a_request_leaves_no_line_and_no_token_in_the_terminal():
    with Demo() as demo:
        with urlopen(f"{demo.url}/sign-in", timeout=30):
            pass
        assert demo.stop() == 0
        assert demo.output.splitlines()[3:] == ["", "Stopped."]


def test_a_connection_that_is_kept_open_does_not_keep_the_demo():
    with Demo() as demo, socket.create_connection(("127.0.0.1", demo.port)) as kept:
        kept.sendall(b"GET /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 200"
        assert demo.stop() == 0


def test_a_port_that_is_taken_is_said_so_in_one_line(command):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, out, err = command("demo", "--port", str(port))
    assert status == 1
    assert not out
    assert err == f"redisess: port {port} is taken by another program; choose another: --port {port + 1}\n"


def test_a_port_that_is_not_ours_to_take_is_said_so_in_one_line(command, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket, "create_server", refuse)
    status, _, err = command("demo", "--port", "80")
    assert status == 1
    assert err == "redisess: port 80 cannot be listened on: Permission denied\n"


@pytest.mark.parametrize("verb", ["demo", "check", "verify"])
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://:geheim@127.0.0.1", "begins with 'http'"),
        ("127.0.0.1:6379", "one that begins with redis://"),
        ("", "one that begins with redis://"),
        ("redis://:ge/heim@127.0.0.1", "percent-encoded"),
        ("redis://:geheim@127.0.0.1:port", "percent-encoded"),
        ("redis://:geheim@127.0.0.1:{closed}/0", "cannot use redis://127.0.0.1:{closed}/0: "),
        ("redis://:geheim@127.0.0.1:{closed}/0?colour=green", "colour"),
        ("unix:///nowhere/redis.sock", "cannot use unix:///nowhere/redis.sock: "),
    ],
)
def test_a_url_that_leads_nowhere_is_said_so_in_one_line_without_its_password(command, verb, url, expected):
    closed = nothing_listens_at()
    arguments = ("--port", "0") if verb == "demo" else ()
    status, out, err = command(verb, "--url", url.format(closed=closed), *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("redisess: ")
    assert err.count("\n") == 1
    assert expected.format(closed=closed) in err
    assert "heim" not in err


def test_a_server_that_wants_a_password_is_said_so_in_one_line(command, start_server):
    server = start_server("--requirepass", "geheim")
    status, _, err = command("demo", "--port", "0", "--url", f"redis://127.0.0.1:{server.port}")
    assert status == 1
    assert err.count("\n") == 1
    assert "authenticate" in err


def test_a_server_that_is_no_redis_is_said_so_in_one_line(command):
    with Demo() as other:
        status, _, err = command("check", "--url", f"redis://127.0.0.1:{other.port}")
    assert status == 1
    assert err.count("\n") == 1


CURL = """#!{python}
import sys, urllib.request as web
words, headers, data, method, url = sys.argv[1:], {{}}, None, None, ""
while words:
    match words.pop(0):
        case "-s": pass
        case "-H": headers.update([words.pop(0).split(": ", 1)])
        case "-d": data = words.pop(0).encode()
        case "-X": method = words.pop(0)
        case url: pass
sys.stdout.buffer.write(web.urlopen(web.Request(url, data, headers, method=method)).read())
"""


def test_the_lines_for_a_terminal_work_in_one(tmp_path):
    path = os.environ["PATH"]
    if shutil.which("curl") is None:  # what the lines need of it
        (tmp_path / "curl").write_text(CURL.format(python=sys.executable))
        (tmp_path / "curl").chmod(0o700)
        path = f"{tmp_path}:{path}"
    with Demo() as demo, urlopen(f"{demo.url}/sign-in", timeout=30) as page:
        found = re.findall(r'<span class="line">(.*?)</span>', page.read().decode(), re.DOTALL)
        lines = [*(unescape(line).strip() for line in found), 'echo "$TOKEN"']
        done = subprocess.run(
            ["sh", "-c", "\n".join(lines)], env={"PATH": path}, capture_output=True, text=True, timeout=60, check=True
        )
        known, token = done.stdout.splitlines()
        assert json.loads(known)["user"] == "ada"
        assert json.loads(known)["devices"][0]["this"]
        with pytest.raises(HTTPError) as refused:  # the third line signed out
            urlopen(Request(f"{demo.url}/api/me", headers={"Authorization": f"Bearer {token}"}), timeout=30)
        with refused.value as answer:
            assert answer.code == 401


def test_the_demo_keeps_to_its_own_namespace(redis_url, redis_client):
    with SessionManager(redis_url) as others:
        others.create("ada")
        before = set(redis_client.keys())
        with Demo("--url", redis_url) as demo:
            assert f"kept at {redis_url}." in demo.output
            with urlopen(f"{demo.url}/sign-in", timeout=30):
                pass
        new = set(redis_client.keys()) - before
        assert new
        assert all(key.startswith(b"{redisess-demo") for key in new)
        assert others.count() == 1


# check


def test_check_tells_of_the_server_and_the_namespace(command, redis_url, redis_client):
    with SessionManager(redis_url, namespace="shop", shards=4) as manager:
        manager.create("ada")
        manager.create("ada", ttl=0)
        manager.create(None, max_lifetime=86400)
    status, out, _ = command("check", "--url", redis_url, "--namespace", "shop")
    assert status == 0
    assert [line.split(maxsplit=1) for line in out.splitlines()[1:4]] == [
        ["Eviction", "noeviction"],
        ["Namespace", "shop: layout 1, 4 shards"],
        ["Sessions", "3 live, 3 active in the last 60 seconds"],
    ]
    assert redis_client.info("server")["redis_version"] in out.splitlines()[0]
    assert redis_url in out.splitlines()[0]
    assert re.search(r"^Users +1 signed in, 1 active$", out, re.MULTILINE)
    assert re.search(r"^Idle timeout +none, 1800 s \(of 3 sessions looked at\)$", out, re.MULTILINE)
    assert re.search(r"^Max lifetime +none, 86400 s \(of 3 sessions looked at\)$", out, re.MULTILINE)


def test_check_changes_no_live_session(command, redis_url, redis_client):
    with SessionManager(redis_url, namespace="shop") as manager:
        live, expired = manager.create("ada", data={"cart": [1]}), manager.create("ada", ttl=0.001)
        while expired.valid:
            pass
        before = manager.get(live.session_id, touch=False).stored_fields
        assert command("check", "--url", redis_url, "--namespace", "shop")[0] == 0
        after = manager.get(live.session_id, touch=False).stored_fields
    assert {**after, b"now": None} == {**before, b"now": None}


def test_check_of_a_namespace_that_was_never_used_writes_nothing(command, redis_url, redis_client):
    status, out, _ = command("check", "--url", redis_url, "--namespace", "never")
    assert status == 0
    assert re.search(r"^Namespace +never: never used here$", out, re.MULTILINE)
    assert redis_client.keys() == []


def test_check_fails_where_redis_may_evict_sessions(command, start_server):
    server = start_server("--maxmemory-policy", "allkeys-lru")
    status, out, _ = command("check", "--url", server.url)
    assert status == 1
    assert re.search(r"^Eviction +allkeys-lru: .*noeviction$", out, re.MULTILINE)


def test_check_says_of_a_record_that_is_not_ours_that_it_is_not(command, redis_url, redis_client):
    redis_client.set("{sessions}:layout", "something else\nof another program")
    status, _, err = command("check", "--url", redis_url)
    assert status == 1
    assert err.count("\n") == 1
    assert "not one of redisess" in err


def test_check_does_without_what_the_server_does_not_tell(command, start_server):
    server = start_server()
    with server.client() as client:
        client.acl_setuser(
            "looker", enabled=True, passwords=["+geheim"], keys=["*"], commands=["+@all", "-info"], channels=["*"]
        )
    status, out, _ = command("check", "--url", f"redis://looker:geheim@127.0.0.1:{server.port}")
    assert status == 0
    assert "does not tell" in out
    assert "geheim" not in out


def test_check_of_the_embedded_server_says_that_there_is_nothing_to_look_at(command):
    status, _, err = command("check", "--url", "memory://")
    assert status == 1
    assert "within its process" in err


def test_check_of_a_namespace_that_cannot_be_one_says_what_is_wanted(command, redis_url):
    status, _, err = command("check", "--url", redis_url, "--namespace", "a{b")
    assert status == 1
    assert err.startswith("redisess: namespace: ")


# verify


@pytest.fixture
def broken(redis_url, redis_client):
    """A namespace of two shards that lost a session, the entry of a user and the expiry of a session."""
    with SessionManager(redis_url, namespace="shop", shards=2) as manager:
        sessions = [manager.create(user) for user in ("ada", "bob", None, "ada")]
        lost, _, nobodys, _ = [redis_client.keys(f"*:s:{session.session_id}")[0] for session in sessions]
        redis_client.delete(lost)
        redis_client.persist(nobodys)
        redis_client.zrem(lost.partition(b"}:")[0] + b"}:users", "ada")
        yield manager


def told(out):
    return dict(line.split(maxsplit=1) for line in out.splitlines())


SOUND = {
    "Namespace": "shop: layout 1, 2 shards",
    "Sessions": "3 live",
    "Users": "2 signed in",
    "Missing": "0 entries that an index should have",
    "Stray": "0 entries that no live session stands behind",
    "Misplaced": "0 entries not at the time of the session",
    "Early": "0 keys that Redis would remove too early",
    "Never": "0 keys that Redis would never remove",
    "Drift": "none",
}
FOUND = {
    **SOUND,
    "Missing": "1 entry that an index should have",
    "Stray": "3 entries that no live session stands behind",
    "Never": "1 key that Redis would never remove",
}


def test_verify_tells_what_differs_and_mends_it_where_it_is_asked_to(command, redis_url, broken):
    look = ("verify", "--url", redis_url, "--namespace", "shop")
    for _ in range(2):
        status, out, err = command(*look)
        assert (status, told(out), err) == (1, {**FOUND, "Drift": "5: --repair mends it"}, "")
    status, out, err = command(*look, "--repair")
    assert (status, told(out), err) == (0, {**FOUND, "Drift": "5, repaired"}, "")
    assert command(*look) == (0, "".join(f"{name:<14}{text}\n" for name, text in SOUND.items()), "")
    assert (broken.count(), broken.count_users()) == (3, 2)


def test_the_installed_command_verifies(redis_url, broken):
    looked = [COMMAND, "verify", "--url", redis_url, "--namespace", "shop"]
    for arguments, status in (([], 1), (["--repair"], 0), ([], 0)):
        done = subprocess.run([*looked, *arguments], capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (status, "")
        assert done.stdout.startswith("Namespace     shop: layout 1, 2 shards\n")


def test_verify_of_a_namespace_that_was_never_used_writes_nothing(command, redis_url, redis_client):
    assert command("verify", "--url", redis_url) == (0, "Namespace     sessions: never used here\n", "")
    assert redis_client.keys() == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("--url", "memory://"), "within its process"), (("--url", "redis://x", "--namespace", "a{b"), "namespace: ")],
)
def test_verify_says_in_one_line_what_is_wrong_with_its_options(command, arguments, expected):
    status, out, err = command("verify", *arguments)
    assert (status, out, err.count("\n")) == (1, "", 1)
    assert expected in err


def test_verify_says_of_a_record_that_is_not_ours_that_it_is_not(command, redis_url, redis_client):
    redis_client.set("{sessions}:layout", "5")
    status, _, err = command("verify", "--url", redis_url)
    assert (status, err.count("\n")) == (1, 1)
    assert "not one of redisess" in err


def test_a_namespace_recorded_with_other_shards_is_said_so_in_one_line(command, redis_url):
    with SessionManager(redis_url, namespace="redisess-demo", shards=2) as manager:
        manager.count()
    status, _, err = command("demo", "--port", "0", "--url", redis_url)
    assert status == 1
    assert err.count("\n") == 1
    assert "shards" in err


def test_only_the_command_needs_typer():
    tree = Path(redisess_cli.__file__).parent.parent
    imports = re.compile(r"^\s*(import|from) typer", re.MULTILINE)
    assert {path.parent.name for path in tree.rglob("*.py") if imports.search(path.read_text())} == {"redisess_cli"}
