"""WebSockets under a real uvicorn, with real clients; this process is the other one, which ends their sessions."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import anyio
import httpx2
import pytest
from sockets_kit import LIVE_NAMESPACE, SECONDS, Live, by_cookie, by_header, until, wait_until
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from redisess_core import SessionManager
from redisess_starlette import SESSION_ENDED

SERVERS = ["websockets", "websockets-sansio", "wsproto"]


@pytest.fixture(params=[*SERVERS, "asyncio"], scope="module")
def any_live(request, redis_server):
    """A site under each of uvicorn's implementations of WebSockets, and once in asyncio's own loop."""
    options = {"loop": "asyncio"} if request.param == "asyncio" else {"ws": request.param}
    with Live(redis_server.url, **options) as live:
        yield live
    assert "Traceback" not in live.last_output
    assert "Task was destroyed" not in live.last_output


def talk(live, session=None, path="/ws", **headers):
    """Open a WebSocket, in *session*."""
    if session is not None:
        headers |= by_cookie(session.token)
    return connect(
        live.ws + path,
        additional_headers=headers,
        compression=None,
        max_queue=1,
        max_size=None,
        open_timeout=SECONDS,
        close_timeout=SECONDS,
        proxy=None,
    )


def ask(line, text):
    line.send(text)
    return line.recv(SECONDS)


def code_of(line):
    """Give the code that the socket is closed with; what was sent before is passed over."""
    with pytest.raises(ConnectionClosed) as closed:  # noqa: PT012  one of many
        while True:
            line.recv(SECONDS)
    assert closed.value.rcvd is not None, "the connection was lost without a close"
    return closed.value.rcvd.code


def listeners(client):
    with SessionManager(client, namespace=LIVE_NAMESPACE) as manager:
        return client.pubsub_numsub(*manager.event_channels())[0][1]


def settle(live):
    """Wait until no task of ours is left in the site's process."""
    with httpx2.Client(base_url=live.http) as client:
        wait_until(lambda: client.get("/tasks").json() == [])


def test_who_signs_in_over_http_and_is_killed_elsewhere_loses_both_sockets(any_live, redis_url, elsewhere):
    with httpx2.Client(base_url=any_live.http) as browser:
        session_id = browser.post("/login/ada").json()["id"]
        cookie = {"cookie": f"session={browser.cookies['session']}"}
        with talk(any_live, **cookie) as one, talk(any_live, **cookie) as two:
            assert [ask(line, "user") for line in (one, two)] == ["ada", "ada"]
            assert elsewhere.kill(session_id)
            assert [code_of(line) for line in (one, two)] == [SESSION_ENDED] * 2
        assert browser.get("/me").json() == {"user": None, "id": None, "data": {}}
    settle(any_live)


def test_what_a_socket_changes_is_seen_by_the_next_request_and_the_other_way_round(any_live, redis_url, elsewhere):
    session = elsewhere.create("ada")
    with httpx2.Client(base_url=any_live.http, headers=by_cookie(session.token)) as browser:
        with talk(any_live, session) as line:
            ask(line, "set a 1")
            ask(line, "save")
            assert browser.get("/me").json()["data"] == {"a": "1"}
            browser.post("/set/b/2")
            ask(line, "set c 3")
            line.send("close 3000")
            assert code_of(line) == 3000
        assert browser.get("/me").json()["data"] == {"a": "1", "b": "2", "c": "3"}


def test_a_session_that_begins_with_a_socket_goes_on_over_http(any_live, redis_url):
    with talk(any_live, path="/cart") as line:
        (cookie,) = line.response.headers.get_all("Set-Cookie")
        token = cookie.partition(";")[0].partition("=")[2]
        assert "httponly" in cookie.lower()
        session_id = ask(line, "id")
        with httpx2.Client(base_url=any_live.http, headers=by_cookie(token)) as browser:
            assert browser.get("/me").json() == {"user": None, "id": session_id, "data": {"cart": "apple"}}
            browser.post("/login/ada")
        assert code_of(line) == SESSION_ENDED


def test_a_client_that_leaves_loses_nothing_that_waits(any_live, redis_url, elsewhere):
    session = elsewhere.create("ada")
    with talk(any_live, session) as line:
        ask(line, "set a 1")
    settle(any_live)
    assert elsewhere.get(session.session_id).data == {"a": "1"}


def test_a_client_that_breaks_off_loses_nothing_that_waits(any_live, redis_url, elsewhere):
    session = elsewhere.create("ada")
    with talk(any_live, session) as line:
        ask(line, "set a 1")
        line.socket.shutdown(socket.SHUT_RDWR)
    settle(any_live)
    assert elsewhere.get(session.session_id).data == {"a": "1"}


def test_a_header_client_signs_in_over_its_socket(any_live, redis_url, elsewhere):
    with talk(any_live) as line:
        ask(line, "login ada")
        ask(line, "save")
        token = ask(line, "token")
        with talk(any_live, **by_header(token)) as other:
            assert ask(other, "user") == "ada"
            elsewhere.kill_user("ada")
            assert [code_of(it) for it in (line, other)] == [SESSION_ENDED] * 2


def test_a_rotation_over_http_is_followed_by_the_sockets(any_live, redis_url, elsewhere):
    with httpx2.Client(base_url=any_live.http) as browser:
        browser.post("/login/ada")
        with talk(any_live, cookie=f"session={browser.cookies['session']}") as line:
            ask(line, "set a 1")
            rotated = browser.post("/login/ada").json()["id"]
            wait_until(lambda: ask(line, "id") == rotated)
            ask(line, "save")
            assert elsewhere.get(rotated).data == {"a": "1"}
            browser.post("/logout")
            assert code_of(line) == SESSION_ENDED


def test_a_slow_reader_is_closed_after_what_was_on_its_way(any_live, redis_url, elsewhere):
    session = elsewhere.create("ada")
    with talk(any_live, session, "/flood") as line:
        line.recv(SECONDS)  # and no more, for now: what is sent stays in buffers until they are full
        assert elsewhere.kill(session.session_id)
        assert code_of(line) == SESSION_ENDED
    settle(any_live)


def test_two_hundred_sockets_use_one_subscription(live, redis_client, elsewhere):
    sessions = [elsewhere.create(f"user{number}") for number in range(20)]

    async def stay(number, opened, codes):
        headers = by_cookie(sessions[number % 20].token)
        async with connect_async(f"{live.ws}/ws", additional_headers=headers, proxy=None, compression=None) as line:
            await line.send("user")
            opened.append(await line.recv())
            with pytest.raises(ConnectionClosed) as closed:
                await line.recv()
        codes.append(closed.value.rcvd.code)

    async def story():
        opened, codes = [], []
        with anyio.fail_after(3 * SECONDS):
            async with anyio.create_task_group() as group:
                for number in range(200):
                    group.start_soon(stay, number, opened, codes)
                await until(lambda: len(opened) == 200)
                assert listeners(redis_client) == 1
                assert len([it for it in redis_client.client_list() if int(it["sub"])]) == 1
                elsewhere.kill_all()
        assert len({*opened}) == 20
        assert codes == [SESSION_ENDED] * 200

    anyio.run(story)
    settle(live)
    wait_until(lambda: listeners(redis_client) == 0)


def test_where_redis_is_away_the_handshake_is_answered_with_503_and_an_open_socket_closed_with_1013(
    start_server, start_live
):
    own = start_server()
    live = start_live(own.url)
    with SessionManager(own.client(), namespace=LIVE_NAMESPACE) as sessions:
        session = sessions.create("ada")
    with talk(live, session) as line:
        ask(line, "set a 1")
        own.stop()
        with pytest.raises(InvalidStatus) as refused:
            talk(live, session)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"] == "5"
        assert ask(line, "user") == "ada"
        line.send("save")
        assert code_of(line) == 1013


def test_a_graceful_shutdown_with_open_sockets_ends_in_time_and_closes_the_connections_to_redis(
    start_live, redis_client, elsewhere
):
    live = start_live()
    sessions = [elsewhere.create("ada") for _ in range(3)]
    before = {it["id"] for it in redis_client.client_list()}
    with ExitStack() as leaving:
        lines = [leaving.enter_context(talk(live, session)) for session in sessions]
        for line in lines:
            ask(line, "set a 1")
        assert {it["id"] for it in redis_client.client_list()} - before
        live.stop()
        assert [code_of(line) for line in lines] == [1012] * 3
    wait_until(lambda: not {it["id"] for it in redis_client.client_list()} - before)
    assert "Application shutdown complete" in live.output
    assert "Traceback" not in live.output
    assert "Warning" not in live.output
    assert [elsewhere.get(session.session_id).data for session in sessions] == [{"a": "1"}] * 3


def test_a_shutdown_that_cannot_wait_for_an_app_closes_the_connections_to_redis(start_live, elsewhere):
    live = start_live(timeout_graceful_shutdown=1)
    session = elsewhere.create("ada")
    with talk(live, session, "/deaf") as line:
        assert line.recv(SECONDS) == "open"
        live.stop()
    assert "Application shutdown complete" in live.output
    assert "ResourceWarning" not in live.output
    assert "Task was destroyed" not in live.output
