"""Starlette's own authentication over the session: `request.user`, `request.auth` and `@requires`."""

from __future__ import annotations

import pytest
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.testclient import TestClient
from starlette_kit import SITE, bearer, send_token, serves, vary_of

from redisess_starlette import SessionAuthBackend, SessionUser, login, logout


@requires("authenticated")
async def account(request):
    return PlainTextResponse(request.user.display_name)


@requires("authenticated", redirect="welcome")
def members(request):
    return PlainTextResponse("members")


@requires(["authenticated", "admin"], status_code=404)
def admin(request):
    return PlainTextResponse("admin")


async def welcome(request):
    return JSONResponse({"user": request.user.is_authenticated, "scopes": request.auth.scopes})


@pytest.fixture
def make_site(make_app, tmp_path):
    """Make apps that know their user: `make_site(backend=..., skip=...)`."""
    (tmp_path / "style.css").write_text("body {}")

    def make(backend=SessionAuthBackend, **options):
        routes = [
            Route("/account", account),
            Route("/members", members),
            Route("/admin", admin),
            Route("/welcome", welcome, name="welcome"),
            Mount("/static", StaticFiles(directory=tmp_path)),
        ]
        inside = [Middleware(AuthenticationMiddleware, backend=backend())]
        return make_app(routes=routes, inside=inside, **options)

    return make


@pytest.fixture
def client(make_site, browse, clock):
    return browse(make_site(clock=clock))


def test_a_page_that_requires_a_user_is_for_who_is_signed_in(client, sessions):
    assert client.get("/account").status_code == 403
    client.post("/set/cart/tea")
    assert client.get("/account").status_code == 403  # an anonymous session is nobody's
    client.post("/login/ada")
    assert client.get("/account").text == "ada"
    sessions.kill_user("ada")
    assert client.get("/account").status_code == 403


def test_a_page_may_redirect_whoever_is_not_signed_in(client):
    response = client.get("/members", follow_redirects=False)
    assert (response.status_code, response.headers["location"].partition("?")[0]) == (303, f"{SITE}/welcome")
    assert vary_of(response) == ["cookie"]
    client.post("/login/ada")
    assert client.get("/members").text == "members"


def test_who_is_not_signed_in_is_starlettes_unauthenticated_user(client):
    assert client.get("/welcome").json() == {"user": False, "scopes": []}
    client.post("/login/ada")
    assert client.get("/welcome").json() == {"user": True, "scopes": ["authenticated"]}


def test_a_header_client_is_known_too(client, sessions):
    token = sessions.create("ada").token
    assert client.get("/account", headers=bearer(token)).text == "ada"


def test_the_user_stays_who_began_the_request(client):
    def view(request):
        login(request, "bob")
        during = request.user.identity
        logout(request)
        return [during, request.user.identity]

    serves(client.app, view)
    client.post("/login/ada")
    assert client.get("/").json() == ["ada", "ada"]


def test_the_user_is_one_of_starlettes_with_the_id_of_the_sign_in():
    user = SessionUser("ada")
    assert (user.is_authenticated, user.display_name, user.identity, user.user_id) == (True, "ada", "ada", "ada")


def test_an_application_adds_scopes_in_a_backend_of_its_own(make_site, browse):
    class WithAdmins(SessionAuthBackend):
        async def authenticate(self, conn):
            found = await super().authenticate(conn)
            if found is not None and found[1].identity == "root":
                found[0].scopes.append("admin")
            return found

    client = browse(make_site(WithAdmins))
    for user, status in (("ada", 404), ("root", 200)):
        client.post(f"/login/{user}")
        assert client.get("/admin").status_code == status


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_static_file_needs_no_user_and_stays_cacheable(client, sessions, wire, signed_in):
    headers = send_token(sessions.create("ada").token) if signed_in else {}
    with wire() as seen:
        response = client.get("/static/style.css", headers=headers)
    assert (response.status_code, response.text) == (200, "body {}")
    assert "vary" not in response.headers
    assert seen.names == []


def test_on_a_page_that_is_skipped_nobody_is_signed_in(make_site, browse, sessions, clock):
    client = browse(make_site(clock=clock, skip=lambda connection: connection.url.path == "/plain"))
    response = client.get("/plain", headers=send_token(sessions.create("ada").token))
    assert response.status_code == 200
    assert "vary" not in response.headers


def test_without_our_middleware_the_backend_says_what_is_missing():
    app = AuthenticationMiddleware(account, backend=SessionAuthBackend())
    with pytest.raises(TypeError, match="add RedisessMiddleware"):
        TestClient(app).get("/")
