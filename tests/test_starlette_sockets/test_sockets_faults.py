"""Redis away: before the accept 503, after it close code 1013; never a session that seems to be none."""

from __future__ import annotations

import pytest
from sockets_kit import answering, by_cookie, headers_of, settled
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import WebSocketRoute

from redisess_core import NamespaceMismatch, SessionManager, StoreUnavailable
from redisess_starlette import RedisessMiddleware

pytestmark = pytest.mark.anyio


@pytest.fixture
def own(start_server):
    """A server of the test's own."""
    return start_server()


@pytest.fixture
def site(make_site, own):
    return make_site(own.url)


@pytest.fixture
def token(own, namespace):
    return SessionManager(own.client(), namespace=namespace).create("ada").token


async def never(websocket):
    raise AssertionError("nobody should come here")


async def test_where_redis_is_away_at_the_connection_the_handshake_is_answered_with_503(site, own, token, caplog):
    own.stop()
    line = site.connect(never, by_cookie(token))
    message = await line.heard()
    assert (message["type"], message["status"]) == ("websocket.http.response.start", 503)
    assert headers_of(message)["retry-after"] == "5"
    assert "set-cookie" not in headers_of(message)
    assert b"cannot be reached" in (await line.heard())["body"]
    await line.ended()
    assert "answered with 503" in caplog.text
    assert token not in caplog.text


async def test_a_server_that_cannot_answer_a_handshake_closes_with_1013(site, own, token):
    own.stop()
    line = site.connect(never, by_cookie(token), denials=False)
    assert await line.closed() == 1013
    await line.ended()


async def test_redis_away_harms_no_anonymous_socket(site, own):
    own.stop()
    line = site.connect(answering)
    await line.accepted()
    assert await line.ask("id") == "None"


@pytest.mark.parametrize("by_hand", [False, True])
async def test_the_apps_own_handler_goes_first(site, own, token, by_hand):
    async def handle(connection, error):
        assert isinstance(error, StoreUnavailable)
        assert connection.session.user_id is None
        return JSONResponse({"come": "back"}, 599)

    own.stop()
    handlers = {StoreUnavailable: handle}
    app = site.app(never, exception_handlers=handlers)
    if by_hand:
        inner = Starlette(routes=[WebSocketRoute("/", never)], exception_handlers=handlers)
        app = RedisessMiddleware(inner, site.manager, https_only=False)
    line = site.connect_to(app, by_cookie(token))
    message = await line.heard()
    assert message["status"] == 599
    assert (await line.heard())["body"] == b'{"come":"back"}'
    await line.ended()


async def test_the_apps_own_handler_may_answer_by_the_socket_itself(site, own, token):
    async def handle(websocket, error):
        await websocket.accept()
        await websocket.close(4503)

    own.stop()
    line = site.connect_to(site.app(never, exception_handlers={StoreUnavailable: handle}), by_cookie(token))
    await line.accepted()
    assert await line.closed() == 4503
    await line.ended()


async def test_where_redis_goes_away_before_the_accept_can_store_the_handshake_is_answered_with_503(site, own, token):
    async def view(websocket):
        websocket.session["a"] = 1
        own.stop()
        await websocket.accept()
        raise AssertionError("nobody should come here")

    line = site.connect(view, by_cookie(token))
    assert (await line.heard())["status"] == 503
    await line.heard()
    await line.ended()


async def test_where_redis_goes_away_after_the_accept_a_save_that_fails_closes_with_1013(site, own, token, caplog):
    line = site.connect(answering, by_cookie(token))
    await line.accepted()
    await settled(site, line)
    await line.ask("set a 1")
    own.stop()
    line.say("save")
    assert await line.closed() == 1013
    await line.ended()
    assert "closed with 1013" in caplog.text


async def test_a_save_that_fails_can_be_caught_and_repeated(site, own, token, namespace):
    async def view(websocket):
        await websocket.accept()
        websocket.session["a"] = await websocket.receive_text()
        own.pause()
        try:
            await websocket.session.save()
        except StoreUnavailable:
            own.resume()
            await websocket.session.save()
        await websocket.send_text("saved")

    line = site.connect(view, by_cookie(token))
    await line.accepted()
    line.say("1")
    assert await line.text() == "saved"
    await line.ended()
    assert SessionManager(own.client(), namespace=namespace).authenticate(token).data == {"a": "1"}


async def test_what_cannot_be_stored_as_the_app_closes_closes_with_1013(site, own, token):
    line = site.connect(answering, by_cookie(token))
    await line.accepted()
    await line.ask("set a 1")
    own.stop()
    line.say("close 3000")
    assert await line.closed() == 1013
    await line.ended()


async def test_what_cannot_be_stored_after_the_client_has_left_is_said_in_the_log(site, own, token, caplog):
    line = site.connect(answering, by_cookie(token))
    await line.accepted()
    await line.ask("set a 1")
    own.stop()
    line.leave()
    await line.ended()
    assert "closed with 1013" in caplog.text


async def test_an_app_that_reads_only_does_not_notice_that_redis_is_away(site, own, token):
    line = site.connect(answering, by_cookie(token))
    await line.accepted()
    await settled(site, line)
    own.stop()
    assert await line.ask("user") == "ada"
    line.say("close 3000")
    assert await line.closed() == 3000
    await line.ended()


async def test_another_layout_is_the_programs_error(make_site, own, token):
    site = make_site(own.url, manager_options={"shards": 4})
    line = site.connect(never, by_cookie(token))
    with pytest.raises(NamespaceMismatch):
        await line.ended()


async def test_an_error_after_a_denial_has_begun_is_no_second_answer(site, own, token):
    async def view(websocket):
        await websocket.send({"type": "websocket.http.response.start", "status": 402, "headers": []})
        raise StoreUnavailable("away")

    line = site.connect(view, by_cookie(token))
    assert (await line.heard())["status"] == 402
    await line.ended()
    assert line._from_app.empty()
