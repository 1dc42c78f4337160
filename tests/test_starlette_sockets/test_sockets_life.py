"""A WebSocket's session from its connection to its end, where nobody interferes."""

from __future__ import annotations

import pytest
from sockets_kit import UNKNOWN_TOKEN, act, answering, by_cookie, by_header, cookie_in, settled
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from redisess_core import SessionDataTooLarge, SessionGone
from redisess_starlette import SESSION_ENDED, current_session

pytestmark = pytest.mark.anyio


@pytest.fixture
def data(site):
    """Give what is stored of a session's data; None if it is gone."""

    async def give(session_id):
        found = await site.manager.get(session_id, touch=False)
        return None if found is None else dict(found.data)

    return give


# Loading


async def test_a_socket_loads_its_session_by_one_command(site, wire):
    await settled(site, await site.talk(await site.manager.create("ada")))
    session = await site.manager.create("bob", data={"a": "1"})
    with wire() as seen:
        line = await site.talk(session)
        assert await line.ask("get a") == "1"
        assert await line.ask("user") == "bob"
    assert len([command for command in seen if session.session_id in " ".join(command.words)]) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        by_cookie(""),
        by_cookie("\xff\xfe"),
        by_cookie("x" * 100_000),
        by_cookie(UNKNOWN_TOKEN.upper()),
        {"cookie": f"session={UNKNOWN_TOKEN}; session={UNKNOWN_TOKEN[:-1]}b"},
        {"cookie": f"\xa0session={UNKNOWN_TOKEN}"},
        {"authorization": "Basic \xff"},
        {"authorization": "Bearer " + "x" * 100_000},
    ],
    ids=["none", "empty", "no text", "long", "capitals", "two", "a space that is none", "basic", "long header"],
)
async def test_a_socket_without_a_token_costs_no_command(site, wire, headers):
    await site.manager.now()
    with wire() as seen:
        line = site.connect(answering, headers)
        assert "set-cookie" not in await line.accepted()
        assert await line.ask("id") == "None"
        line.leave()
        await line.ended()
    assert not seen.names


async def test_a_token_that_names_no_session_is_not_adopted(site, redis_client):
    async def view(websocket):
        websocket.session["cart"] = 1
        await answering(websocket)

    line = site.connect(view, by_cookie(UNKNOWN_TOKEN))
    assert cookie_in(await line.accepted()) != UNKNOWN_TOKEN
    line.leave()
    await line.ended()
    assert redis_client.pubsub_numsub(*site.manager.event_channels())[0][1] == 0


async def test_a_token_in_the_header_goes_before_the_cookie(site):
    ada, bob = await site.manager.create("ada"), await site.manager.create("bob")
    line = site.connect(answering, by_cookie(ada.token) | by_header(bob.token))
    await line.accepted()
    assert await line.ask("user") == "bob"


async def test_a_socket_that_the_application_skips_has_no_session(make_site, wire):
    site = make_site(skip=lambda connection: connection.url.path == "/")
    session = await site.manager.create("ada")

    async def view(websocket):
        await websocket.accept()
        with pytest.raises(RuntimeError, match="skip"):
            websocket.session.get("a")
        await websocket.send_text("done")

    with wire() as seen:
        line = site.connect(view, by_cookie(session.token))
        await line.accepted()
        assert await line.text() == "done"
        await line.ended()
    assert not seen.names


# Saving


async def test_what_is_changed_before_the_accept_is_saved_with_it_and_the_cookie_set(site, data):
    async def view(websocket):
        websocket.session["cart"] = ["apple"]
        await answering(websocket)

    line = site.connect(view)
    headers = await line.accepted()
    session = await site.manager.authenticate(cookie_in(headers))
    assert dict(session.data) == {"cart": ["apple"]}
    assert session.ip == "192.0.2.1"
    assert headers["cache-control"] == "no-store"
    assert await line.ask("id") == session.session_id
    assert not line.task.done()


async def test_a_change_needs_no_new_cookie(site, data):
    session = await site.manager.create("ada")

    async def view(websocket):
        websocket.session["a"] = 1
        await answering(websocket)

    line = site.connect(view, by_cookie(session.token))
    assert "set-cookie" not in await line.accepted()
    assert await data(session.session_id) == {"a": 1}


async def test_save_stores_at_once(site, data):
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await line.ask("set a 1")
    assert await data(session.session_id) == {}
    await line.ask("save")
    assert await data(session.session_id) == {"a": "1"}
    await line.ask("set a 2")
    await line.ask("save")
    assert await data(session.session_id) == {"a": "2"}


async def test_what_waits_is_saved_before_the_app_closes(site, data):
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await line.ask("set a 1")
    line.say("close 3000")
    assert await line.closed() == 3000
    assert await data(session.session_id) == {"a": "1"}


async def test_what_waits_is_saved_where_the_client_leaves_and_the_app_lets_that_out(site, data):
    session = await site.manager.create("ada")

    async def view(websocket):
        await websocket.accept()
        while True:
            websocket.session["said"] = await websocket.receive_text()
            await websocket.send_text("noted")

    line = await site.talk(session, view)
    assert await line.ask("hello") == "noted"
    line.leave()
    with pytest.raises(WebSocketDisconnect):
        await line.task
    assert await data(session.session_id) == {"said": "hello"}


async def test_what_waits_is_saved_where_the_client_leaves_and_the_app_returns(site, data):
    session = await site.manager.create("ada")

    async def view(websocket):
        await websocket.accept()
        async for text in websocket.iter_text():
            websocket.session["said"] = text
            await websocket.send_text("noted")
        websocket.session["left"] = True

    line = await site.talk(session, view)
    assert await line.ask("hello") == "noted"
    line.leave()
    await line.ended()
    assert await data(session.session_id) == {"said": "hello", "left": True}


async def test_what_waits_is_saved_where_the_client_has_left_when_the_app_sends(site, data):
    session = await site.manager.create("ada")

    async def view(websocket):
        await websocket.accept()
        websocket.session["a"] = 1
        while True:
            await websocket.send_text("tick")

    line = await site.talk(session, view)
    await line.text()
    line.writable.clear()
    line.leave()
    line.writable.set()
    await line.ended()
    assert await data(session.session_id) == {"a": 1}


async def test_what_an_app_that_fails_has_changed_is_dropped_but_for_a_sign_out(site, data):
    session, other = await site.manager.create("ada"), await site.manager.create("ada")

    async def view(websocket):
        await websocket.accept()
        verb = await websocket.receive_text()
        websocket.session["a"] = 1
        await act(websocket, verb, [])
        raise ValueError("the app's own")

    for these, verb in ((session, "user"), (other, "logout")):
        line = await site.talk(these, view)
        line.say(verb)
        with pytest.raises(ValueError, match="own"):
            await line.ended()
    assert await data(session.session_id) == {}
    assert await data(other.session_id) is None


async def test_data_that_is_too_large_is_the_programs_error(make_site):
    site = make_site(manager_options={"max_data_bytes": 100})

    async def view(websocket):
        await websocket.accept()
        websocket.session["a"] = "x" * 1000
        await websocket.session.save()

    line = await site.talk(await site.manager.create("ada"), view)
    with pytest.raises(SessionDataTooLarge):
        await line.ended()


async def test_an_accept_keeps_the_headers_and_the_subprotocol_of_the_app(site):
    async def view(websocket):
        websocket.session["a"] = 1
        await websocket.accept("chat", [(b"x-own", b"1"), (b"set-cookie", b"own=1")])

    line = site.connect(view)
    message = await line.heard()
    assert message["subprotocol"] == "chat"
    names = [name for name, _ in message["headers"]]
    assert names.count(b"set-cookie") == 2
    assert (b"x-own", b"1") in message["headers"]
    await line.ended()


async def test_nothing_can_be_changed_after_the_app_has_closed(site):
    async def view(websocket):
        await websocket.accept()
        await websocket.close()
        with pytest.raises(RuntimeError, match="save"):
            websocket.session["a"] = 1

    line = await site.talk(await site.manager.create("ada"), view)
    assert await line.closed() == 1000
    await line.ended()


async def test_where_cookies_are_over_at_once_nothing_is_stored(make_site, redis_client):
    site = make_site(max_age=0)

    async def view(websocket):
        websocket.session["a"] = 1
        await websocket.accept()
        await websocket.send_text("done")

    line = site.connect(view)
    assert "Max-Age=0" in (await line.accepted())["set-cookie"]
    await line.text()
    await line.ended()
    assert not redis_client.keys("*")


# A socket that is refused


async def test_what_was_changed_of_a_session_that_is_there_is_kept_where_the_app_refuses_the_socket(site, data):
    session = await site.manager.create("ada")

    async def view(websocket):
        websocket.session["seen"] = True
        await websocket.close(4000)

    line = site.connect(view, by_cookie(session.token))
    assert await line.closed() == 4000
    assert await data(session.session_id) == {"seen": True}


@pytest.mark.parametrize("do", ["set a 1", "login bob"])
async def test_a_session_that_nobody_could_hear_of_is_not_made_where_the_app_refuses_the_socket(site, do, redis_client):
    async def view(websocket):
        verb, *words = do.split()
        await act(websocket, verb, words)
        await websocket.close(4000)

    line = site.connect(view)
    assert await line.closed() == 4000
    await line.ended()
    assert await site.manager.count() == 0


async def test_a_session_keeps_its_token_where_the_app_rotates_it_and_refuses_the_socket(site):
    async def view(websocket):
        websocket.session.rotate()
        await websocket.close(4000)

    session = await site.manager.create("ada")
    line = site.connect(view, by_cookie(session.token))
    assert await line.closed() == 4000
    assert await site.manager.authenticate(session.token)


async def test_a_denial_sets_the_cookie(site):
    async def view(websocket):
        websocket.session["seen"] = True
        await websocket.send_denial_response(PlainTextResponse("no", 402))

    line = site.connect(view)
    message = await line.heard()
    assert (message["type"], message["status"]) == ("websocket.http.response.start", 402)
    token = cookie_in({name.decode(): value.decode() for name, value in message["headers"]})
    assert (await line.heard())["body"] == b"no"
    await line.ended()
    assert (await site.manager.authenticate(token)).data == {"seen": True}


# Signing in and out


async def test_a_sign_in_before_the_accept_sets_the_cookie(site):
    before = await site.manager.create(None, data={"cart": 1})

    async def view(websocket):
        current_session(websocket).login("ada")
        await answering(websocket)

    line = site.connect(view, by_cookie(before.token))
    token = cookie_in(await line.accepted())
    assert await line.ask("user") == "ada"
    session = await site.manager.authenticate(token)
    assert (session.user_id, dict(session.data)) == ("ada", {"cart": 1})
    assert await site.manager.authenticate(before.token) is None
    assert not line.task.done()


async def test_a_sign_out_before_the_accept_removes_the_cookie_and_ends_the_socket(site):
    session = await site.manager.create("ada")

    async def view(websocket):
        websocket.session.logout()
        await answering(websocket)

    line = site.connect(view, by_cookie(session.token))
    assert "Max-Age=0" in (await line.accepted())["set-cookie"]
    assert await line.closed() == SESSION_ENDED
    assert await site.manager.authenticate(session.token) is None


async def test_a_sign_out_inside_the_socket_takes_effect_at_its_end_with_the_apps_own_code(site):
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await line.ask("logout")
    assert await site.manager.authenticate(session.token)
    line.say("close 3000")
    assert await line.closed() == 3000
    assert await site.manager.authenticate(session.token) is None


async def test_a_sign_out_that_is_saved_inside_the_socket_ends_it(site):
    session = await site.manager.create("ada")
    line = await site.talk(session)
    await line.ask("logout")
    line.say("save")  # whose answer may come before the close, or not any more
    assert await line.closed() == SESSION_ENDED
    assert await site.manager.authenticate(session.token) is None


CHANGES = {
    "login": lambda session: session.login("bob"),
    "login by cookie": lambda session: session.login("bob", transport="cookie"),
    "rotate": lambda session: session.rotate(),
}


@pytest.mark.parametrize("change", [*CHANGES])
@pytest.mark.parametrize("user", ["ada", None])
async def test_what_needs_a_cookie_is_refused_after_the_accept(site, change, user):
    session = await site.manager.create(user, data={"a": 1})

    async def view(websocket):
        await websocket.accept()
        with pytest.raises(RuntimeError, match="no cookie can be sent any more"):
            CHANGES[change](websocket.session)
        await websocket.send_text(str(websocket.session.session_id))

    line = await site.talk(session, view)
    assert await line.text() == session.session_id
    await line.ended()
    assert await site.manager.authenticate(session.token)


WRITES = {
    "item": lambda session: session.update(a=1),
    "default": lambda session: session.setdefault("a", 1),
    "sign-out and item": lambda session: (session.clear(), session.update(a=1)),
}


@pytest.mark.parametrize("write", WRITES)
async def test_a_session_cannot_begin_after_the_accept(site, write):
    async def view(websocket):
        await websocket.accept()
        with pytest.raises(RuntimeError, match="a session begins with it"):
            WRITES[write](websocket.session)
        await websocket.send_text("done")

    line = site.connect(view)
    await line.accepted()
    assert await line.text() == "done"
    await line.ended()
    assert await site.manager.count() == 0


async def test_a_header_client_can_sign_in_after_the_accept(site):
    line = site.connect(answering)
    await line.accepted()
    await line.ask("login ada")
    token = await line.ask("token")
    assert await site.manager.authenticate(token) is None
    await line.ask("set a 1")
    await line.ask("save")
    session = await site.manager.authenticate(token)
    assert (session.user_id, dict(session.data)) == ("ada", {"a": "1"})
    await site.manager.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_a_header_client_can_sign_in_anew_and_rotate_and_the_socket_goes_with_it(site):
    async def view(websocket):
        await websocket.accept()
        websocket.session.login("bob")
        await websocket.session.save()
        websocket.session.rotate()
        await websocket.session.save()
        with pytest.raises(RuntimeError, match="no cookie"):
            websocket.session.login("bob", transport="cookie")
        await websocket.send_text(websocket.session.token)
        await websocket.receive_text()

    line = site.connect(view, by_header((await site.manager.create("ada")).token))
    await line.accepted()
    session = await site.manager.authenticate(await line.text())
    assert session.user_id == "bob"
    await site.manager.kill(session.session_id)
    assert await line.closed() == SESSION_ENDED


async def test_a_refused_sign_in_is_403_before_the_accept_and_1008_after_it(make_site):
    site = make_site(manager_options={"max_sessions_per_user": 1, "on_limit": "refuse"})
    await site.manager.create("ada")

    async def before(websocket):
        websocket.session.login("ada")
        await websocket.accept()

    async def after(websocket):
        await websocket.accept()
        websocket.session.login("ada", transport="header")
        await websocket.session.save()

    line = site.connect(before)
    assert (await line.heard())["status"] == 403
    line = site.connect(after)
    await line.accepted()
    assert await line.closed() == 1008


async def test_a_touch_is_written_at_once(make_site, clock):
    site = make_site(manager_options={"clock": clock, "ttl": 100})
    session = await site.manager.create("ada")
    line = await site.talk(session)
    clock.advance(90)
    await line.ask("touch")
    clock.advance(90)
    assert await site.manager.exists(session.session_id)


async def test_a_touch_of_a_session_that_is_gone_says_so(site, monkeypatch):
    monkeypatch.setattr("redisess_starlette.watch.Watch._pass_on", lambda *_: None)
    monkeypatch.setattr("redisess_starlette.watch.Watch._tell_all", lambda *_: None)
    session = await site.manager.create("ada")

    async def view(websocket):
        await websocket.accept()
        await websocket.receive_text()
        with pytest.raises(SessionGone):
            await websocket.session.touch()
        await websocket.session.touch()

    line = await site.talk(session, view)
    await site.manager.kill(session.session_id)
    line.say("now")
    assert await line.closed() == SESSION_ENDED


# Through Starlette's own test client


def test_a_test_client_without_a_block_makes_a_loop_a_socket(redis_url, namespace):
    from sockets_kit import Site

    from redisess_core import AsyncSessionManager, SessionManager

    client = TestClient(Site(AsyncSessionManager(redis_url, namespace=namespace)).app(answering))
    with SessionManager(redis_url, namespace=namespace) as sessions:
        session = sessions.create("ada")
        for number in range(3):
            with client.websocket_connect("/", headers=by_cookie(session.token)) as line:
                line.send_text(f"set a {number}")
                line.receive_text()
            assert sessions.get(session.session_id).data == {"a": str(number)}
        with client.websocket_connect("/", headers=by_cookie(session.token)) as line:
            sessions.kill_all()
            with pytest.raises(WebSocketDisconnect) as closed:
                line.receive_text()
    assert closed.value.code == SESSION_ENDED


def test_a_store_in_memory_does_as_well():
    from sockets_kit import Site

    from redisess_core import SessionManager

    async def view(websocket):
        websocket.session.login("ada")
        await answering(websocket)

    with TestClient(Site(None).app(view, "memory://")) as client, SessionManager("memory://") as sessions:
        with client.websocket_connect("/") as line:
            line.send_text("id")
            session_id = line.receive_text()
            assert sessions.kill(session_id)
            with pytest.raises(WebSocketDisconnect) as closed:
                line.receive_text()
        assert closed.value.code == SESSION_ENDED
