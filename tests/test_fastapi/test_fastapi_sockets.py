"""The dependencies in WebSockets: whom they let in, and how they refuse."""

import re
from types import SimpleNamespace
from typing import Annotated

import pytest
from fastapi import Depends, WebSocket
from fastapi_kit import COOKIE, bearer, furnish, token_for
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from redisess_starlette import SESSION_ENDED, StarletteSession
from redisess_starlette.fastapi import (
    BlockingSession,
    CurrentSession,
    CurrentUser,
    FreshSession,
    RequiredSession,
    get_current_session,
)


@pytest.fixture
def app(make_app):
    app = furnish(make_app())

    @app.websocket("/ws/current")
    async def current(socket: WebSocket, session: CurrentSession):
        session["visited"] = True
        await socket.accept()
        await socket.send_json([session.user_id, session is socket.session])
        await socket.close()

    @app.websocket("/ws/required")
    async def required(socket: WebSocket, session: RequiredSession, user: CurrentUser):
        await socket.accept()
        await socket.send_json([session.user_id, user])
        await socket.close()

    @app.websocket("/ws/fresh")
    async def fresh(socket: WebSocket, session: Annotated[StarletteSession, FreshSession(300)]):
        await socket.accept()
        await socket.send_json(session.user_id)
        await socket.close()

    return app


def without_denials(app):
    """Serve *app* as a server does that knows no response to a handshake but a bare 403."""

    async def served(scope, receive, send):
        if scope["type"] == "websocket":
            scope = {**scope, "extensions": {}}
        await app(scope, receive, send)

    return served


def said_in(client, path, **options):
    with client.websocket_connect(f"wss://testserver{path}", **options) as socket:
        return socket.receive_json()


def test_a_socket_of_nobody_has_a_session_too(app, visit, sessions):
    with visit(app).websocket_connect("wss://testserver/ws/current") as socket:
        assert socket.receive_json() == [None, True]
        cookies = [value.decode() for name, value in socket.extra_headers if name == b"set-cookie"]
    (token,) = re.findall(rf"^{COOKIE}=(\w+);", "\n".join(cookies))
    assert sessions.authenticate(token).data == {"visited": True}


def test_a_user_is_let_in_by_cookie_and_by_header(app, visit):
    client, other = visit(app), visit(app)
    client.post("/login/ada")
    assert said_in(client, "/ws/required") == ["ada", "ada"]
    assert said_in(client, "/ws/fresh") == "ada"
    assert said_in(other, "/ws/required", headers=bearer(token_for(other, "eve"))) == ["eve", "eve"]


@pytest.mark.parametrize("path", ["/ws/required", "/ws/fresh"])
def test_nobody_is_answered_as_a_request_is(app, visit, path):
    with pytest.raises(WebSocketDenialResponse) as refused:
        said_in(visit(app), path)
    assert (refused.value.status_code, refused.value.json()) == (401, {"detail": "Sign in to see this."})
    assert refused.value.headers["WWW-Authenticate"] == "Bearer"


def test_a_sign_in_of_long_ago_is_answered_as_a_request_is(app, visit, clock):
    client = visit(app)
    client.post("/login/ada")
    clock.advance(301)
    with pytest.raises(WebSocketDenialResponse) as refused:
        said_in(client, "/ws/fresh")
    assert (refused.value.status_code, refused.value.json()) == (401, {"detail": "Sign in again to do this."})


def test_a_server_that_knows_no_such_answer_closes_the_socket(app, visit):
    with pytest.raises(WebSocketDisconnect) as refused:
        said_in(visit(without_denials(app)), "/ws/required")
    assert (refused.value.code, refused.value.reason) == (SESSION_ENDED, "Sign in to see this.")


def test_a_socket_costs_one_command_however_many_dependencies_it_has(app, visit, wire):
    client = visit(app)
    client.post("/login/ada")
    said_in(client, "/ws/required")
    with wire() as seen:
        said_in(client, "/ws/required")
    assert seen.names.count("EVALSHA") <= 2  # it is opened, and looked at once its end is listened for
    assert set(seen.names) <= {"EVALSHA", "SUBSCRIBE", "UNSUBSCRIBE"}


def test_overrides_count_in_sockets_too(app, visit):
    app.dependency_overrides[get_current_session] = lambda: SimpleNamespace(user_id="eve")
    assert said_in(visit(app), "/ws/required") == ["eve", "eve"]


def test_a_def_dependency_can_begin_a_session_in_a_socket(app, visit, sessions):
    def cart(session: BlockingSession):
        session["cart"] = 1
        session.save()
        return session.session_id

    @app.websocket("/cart")
    async def watch(websocket: WebSocket, begun: Annotated[str, Depends(cart)]):
        await websocket.accept()
        await websocket.send_text(begun)
        await websocket.receive_text()

    with visit(app).websocket_connect("/cart") as socket:
        begun = socket.receive_text()
        assert sessions.get_all_sessions() == [begun]
        sessions.kill(begun)
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_text()
    assert closed.value.code == SESSION_ENDED
