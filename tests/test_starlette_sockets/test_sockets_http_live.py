"""HTTP under a real uvicorn, with real connections: many requests at once, streams, clients that hang up."""

from __future__ import annotations

import socket

import anyio
import httpx2
import pytest
from sockets_kit import LIVE_NAMESPACE, SECONDS, by_cookie, wait_until

MANY = 100


@pytest.fixture
def browser(live):
    """A client that keeps its connections, and its cookies."""
    with httpx2.Client(base_url=live.http, timeout=SECONDS) as client:
        yield client


async def side_by_side(live, token, method, paths, meanwhile=None):
    """Send requests of one session at once; give the responses, in order. *meanwhile* is done while they run."""
    answers = {}
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(base_url=live.http, headers=by_cookie(token), limits=limits, timeout=60) as client:

        async def one(path):
            answers[path] = await client.request(method, path)

        async with anyio.create_task_group() as group:
            for path in paths:
                group.start_soon(one, path)
            if meanwhile is not None:
                await meanwhile(client)
    return [answers[path] for path in paths]


def test_a_hundred_requests_at_once_that_each_change_another_key_all_survive(live, redis_url, elsewhere):
    session = elsewhere.create("ada", data={"list": [1]})
    paths = [f"/set/key{number}/{number}" for number in range(MANY)]
    responses = anyio.run(side_by_side, live, session.token, "POST", paths)
    assert {response.status_code for response in responses} == {200}
    assert not [response for response in responses if "set-cookie" in response.headers]
    expected = {f"key{number}": str(number) for number in range(MANY)} | {"list": [1]}
    assert elsewhere.get(session.session_id).data == expected


def test_a_session_that_is_killed_while_a_hundred_requests_run_stays_dead(live, redis_client, elsewhere):
    session = elsewhere.create("ada")

    async def kill_once_all_wait(client):
        with anyio.fail_after(3 * SECONDS):
            while (await client.get("/waiting")).json() < MANY:
                pass
        assert elsewhere.kill(session.session_id)
        await client.post("/go")

    paths = [f"/late/key{number}" for number in range(MANY)]
    responses = anyio.run(side_by_side, live, session.token, "POST", paths, kill_once_all_wait)
    assert {(response.status_code, response.text) for response in responses} == {(200, "stored")}
    assert not [response for response in responses if "set-cookie" in response.headers]
    assert not elsewhere.exists(session.session_id)
    assert elsewhere.count() == 0
    assert not [key for key in redis_client.keys(f"{{{LIVE_NAMESPACE}:*") if session.session_id.encode() in key]


def raw(live, request):
    """Send a request on a connection of its own, and give that."""
    connection = socket.create_connection(("127.0.0.1", live.port), SECONDS)
    connection.sendall(request.replace("\n", "\r\n").encode())
    return connection


def test_a_client_that_hangs_up_in_mid_response_loses_nothing_that_was_to_be_saved(live, redis_url, elsewhere):
    session = elsewhere.create("ada")
    with raw(live, f"GET /stream/a HTTP/1.1\nHost: x\nCookie: session={session.token}\n\n") as connection:
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    assert elsewhere.get(session.session_id).data == {"a": "streamed"}


def test_a_client_that_hangs_up_before_the_response_loses_nothing_that_was_to_be_saved(live, browser, elsewhere):
    session = elsewhere.create("ada")
    before = browser.get("/waiting").json()
    with raw(live, f"POST /late/gone HTTP/1.1\nHost: x\nCookie: session={session.token}\nContent-Length: 0\n\n"):
        wait_until(lambda: browser.get("/waiting").json() == before + 1)
    browser.post("/go")
    wait_until(lambda: elsewhere.get(session.session_id).data == {"gone": "late"})


def test_a_stream_is_saved_before_its_first_byte_and_sets_its_cookie(live, browser, redis_url, elsewhere):
    with browser.stream("GET", "/stream/a?chunks=3") as response:
        session = elsewhere.authenticate(response.cookies["session"])
        assert session.data == {"a": "streamed"}
        assert response.headers["cache-control"] == "no-store"
        assert len(response.read()) == 3000


def test_a_head_request_saves_and_sets_its_cookie(browser, redis_url, elsewhere):
    response = browser.head("/set/a/1")
    assert (response.status_code, response.content) == (200, b"")
    assert elsewhere.authenticate(response.cookies["session"]).data == {"a": "1"}


def test_one_connection_serves_one_request_after_the_other_each_in_its_own_session(live, redis_url, elsewhere):
    ada, bob = elsewhere.create("ada"), elsewhere.create("bob")
    with httpx2.Client(base_url=live.http, limits=httpx2.Limits(max_connections=1)) as client:
        for headers, user in [(by_cookie(ada.token), "ada"), (by_cookie(bob.token), "bob"), ({}, None)] * 3:
            assert client.get("/me", headers=headers).json()["user"] == user


def test_nothing_of_a_request_that_fails_is_saved(browser, redis_url, elsewhere):
    session = elsewhere.create("ada")
    response = browser.get("/failing/a", headers=by_cookie(session.token))
    assert response.status_code == 500
    assert elsewhere.get(session.session_id).data == {}


def test_signing_in_and_out_with_a_real_browser_like_client(browser, redis_url, elsewhere):
    browser.post("/set/cart/apple")
    anonymous = browser.cookies["session"]
    browser.post("/login/ada")
    signed_in = browser.cookies["session"]
    assert signed_in != anonymous
    assert browser.get("/me").json()["data"] == {"cart": "apple"}
    browser.post("/logout")
    assert "session" not in browser.cookies
    assert elsewhere.authenticate(anonymous) is None
    assert elsewhere.authenticate(signed_in) is None


@pytest.mark.parametrize("cookie", ["session=\xff\xfe", "session=" + "x" * 30_000, "session=\x01", "=;;=session"])
def test_bad_bytes_in_a_cookie_are_no_token(live, redis_url, cookie):
    with raw(live, f"GET /me HTTP/1.1\nHost: x\nConnection: close\nCookie: {cookie}\n\n") as connection:
        answer = b"".join(iter(lambda: connection.recv(10_000), b""))
    assert answer.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))  # the second: uvicorn's own
    assert b"set-cookie" not in answer.lower()
