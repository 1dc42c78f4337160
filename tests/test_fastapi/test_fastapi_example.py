"""The example `examples/fastapi_app`: run as its README says, by uvicorn, with real HTTP and WebSocket clients."""

from __future__ import annotations

from contextlib import ExitStack

import httpx2
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from redisess_core import SessionManager
from support.example import SECONDS, running

PASSWORDS = {"ada": "engine", "grace": "nanosecond"}


@pytest.fixture(scope="module")
def running_site(redis_server, tmp_path_factory):
    with running("fastapi_app", tmp_path_factory.mktemp("example") / "output", REDIS_URL=redis_server.url) as address:
        yield address


@pytest.fixture
def site(running_site, redis_url):
    """The example's address, with nobody signed in."""
    return running_site


@pytest.fixture
def sessions(redis_url):
    with SessionManager(redis_url, namespace="chat", max_sessions_per_user=5) as manager:
        yield manager


@pytest.fixture
def visit():
    """Open clients with cookies of their own: `visit(site, "ada")` signs in by the form."""
    with ExitStack() as ends:

        def client(site, user=None, **headers):
            opened = ends.enter_context(httpx2.Client(base_url=site, headers=headers, timeout=SECONDS))
            if user is not None:
                answer = opened.post("/sign-in", data={"name": user, "password": PASSWORDS[user]})
                assert (answer.status_code, answer.headers["Location"]) == (303, "/")
            return opened

        yield client


@pytest.fixture
def talk():
    """Open the chat with the cookies of a client, or with headers."""
    with ExitStack() as ends:

        def socket(client, **headers):
            sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items()), **headers}
            address = str(client.base_url.copy_with(scheme="ws", path="/chat"))
            return ends.enter_context(connect(address, additional_headers=sent, open_timeout=SECONDS))

        yield socket


def code_at_close(socket):
    with pytest.raises(ConnectionClosedError) as closed:
        socket.recv(SECONDS)
    return closed.value.rcvd.code


def test_it_runs_as_its_readme_says_without_redis(tmp_path, visit, talk):
    with running("fastapi_app", tmp_path / "output") as site:
        client, other = visit(site, "ada"), visit(site, "ada")
        assert client.get("/me").json()["user"] == "ada"
        socket = talk(other)
        assert client.delete("/devices").json() == {"ended": 1}
        assert code_at_close(socket) == 4401


def test_a_visitor_costs_nothing(site, visit, redis_client):
    client = visit(site)
    answer = client.get("/")
    assert (answer.status_code, "Sign in" in answer.text) == (200, True)
    assert client.get("/me").status_code == 401
    assert not client.cookies
    assert redis_client.keys() == []


@pytest.mark.parametrize(("name", "password"), [("ada", "wrong"), ("nobody", "engine")])
def test_a_wrong_password_signs_nobody_in(site, visit, sessions, name, password):
    given = {"name": name, "password": password}
    answers = [visit(site).post("/sign-in", data=given), visit(site).post("/token", json=given)]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert sessions.count() == 0


def test_a_form_without_a_password_is_said_to_be_wrong(site, visit):
    assert visit(site).post("/sign-in", data={"name": "ada"}).status_code == 422


def test_a_client_without_cookies_signs_in_for_a_token(site, visit, talk, sessions):
    client = visit(site)
    answer = client.post("/token", json={"name": "grace", "password": "nanosecond"})
    sent = {"Authorization": f"Bearer {answer.json()['token']}"}
    assert client.get("/me", headers=sent).json()["user"] == "grace"
    assert not client.cookies
    socket = talk(client, **sent)
    socket.send("hello")
    assert socket.recv(SECONDS) == "grace: hello"
    assert client.post("/sign-out", headers=sent).status_code == 204
    assert code_at_close(socket) == 4401
    assert client.get("/me", headers=sent).status_code == 401
    assert sessions.count() == 0


def test_a_device_is_ended_from_another_and_its_chat_is_closed(site, visit, talk):
    laptop, phone = visit(site, "ada", **{"User-Agent": "Laptop"}), visit(site, "ada", **{"User-Agent": "Phone"})
    here, there = talk(laptop), talk(phone)
    listed = {each["browser"]: each for each in laptop.get("/devices").json()}
    assert {browser: each["here"] for browser, each in listed.items()} == {"Laptop": True, "Phone": False}
    assert laptop.delete(f"/devices/{listed['Phone']['id']}").status_code == 204
    assert code_at_close(there) == 4401
    assert phone.get("/me").status_code == 401
    here.send("alone")
    assert here.recv(SECONDS) == "ada: alone"
    assert laptop.delete(f"/devices/{listed['Phone']['id']}").status_code == 404


def test_a_device_of_somebody_else_is_not(site, visit, sessions):
    laptop, other = visit(site, "ada"), visit(site, "grace")
    assert laptop.delete(f"/devices/{sessions.get_user_sessions('grace')[0]}").status_code == 404
    assert other.get("/me").json()["user"] == "grace"


def test_all_other_devices_are_ended_at_once(site, visit, talk):
    laptop, phone, tablet = (visit(site, "ada") for _ in range(3))
    sockets = [talk(phone), talk(tablet)]
    assert laptop.delete("/devices").json() == {"ended": 2}
    assert [code_at_close(socket) for socket in sockets] == [4401, 4401]
    assert [client.get("/me").status_code for client in (laptop, phone, tablet)] == [200, 401, 401]


def test_a_session_killed_by_another_process_closes_its_chat(site, visit, talk, sessions):
    socket = talk(visit(site, "ada"))
    assert sessions.kill_user("ada") == 1
    assert code_at_close(socket) == 4401


def test_whoever_is_in_the_chat_hears_what_is_said(site, visit, talk):
    ada, grace = talk(visit(site, "ada")), talk(visit(site, "grace"))
    for socket, said in ((ada, "ada: hello"), (grace, "grace: hi")):
        socket.send(said.split(": ")[1])
        assert [ada.recv(SECONDS), grace.recv(SECONDS)] == [said, said]


def test_nobody_gets_into_the_chat(site, visit, talk):
    with pytest.raises(InvalidStatus) as refused:
        talk(visit(site))
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"


def test_the_sixth_device_ends_the_one_unused_for_longest(site, visit, sessions):
    first, *_rest = [visit(site, "ada") for _ in range(6)]
    assert sessions.count_for_user("ada") == 5
    assert first.get("/me").status_code == 401
