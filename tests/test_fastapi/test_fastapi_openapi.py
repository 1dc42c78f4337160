"""What OpenAPI and the docs page show: how a token comes, as each app's own middleware is set."""

import re
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI
from fastapi_kit import COOKIE, furnish

from redisess_starlette import StarletteSession
from redisess_starlette.fastapi import BlockingSession, CurrentSession, CurrentUser, FreshSession, RequiredSession

BEARER = {"type": "http", "scheme": "bearer", "description": "The session's token, of a client without cookies."}


def schema_of(client, path="/openapi.json"):
    return client.get(path).json()


def schemes_of(client, path="/openapi.json"):
    return schema_of(client, path)["components"]["securitySchemes"]


def cookie(name):
    return {"type": "apiKey", "in": "cookie", "name": name, "description": "Set when a user signs in."}


def header(name):
    return {"type": "apiKey", "in": "header", "name": name, "description": BEARER["description"]}


def authorize(scheme, token):
    """Give the headers that a docs page sends, once its Authorize button was told the token."""
    if scheme["type"] == "http":
        return {"Authorization": f"{scheme['scheme'].title()} {token}"}
    assert scheme["in"] == "header"
    return {scheme["name"]: token}


@pytest.mark.parametrize(
    ("options", "schemes"),
    [
        ({}, {"SessionCookie": cookie(COOKIE), "SessionToken": BEARER}),
        ({"session_cookie": "sid"}, {"SessionCookie": cookie("sid"), "SessionToken": BEARER}),
        ({"https_only": False}, {"SessionCookie": cookie("session"), "SessionToken": BEARER}),
        ({"header": "X-Token"}, {"SessionCookie": cookie(COOKIE), "SessionToken": header("X-Token")}),
        ({"header": "authorization"}, {"SessionCookie": cookie(COOKIE), "SessionToken": BEARER}),
        ({"header": None}, {"SessionCookie": cookie(COOKIE)}),
    ],
)
def test_the_schemes_are_those_of_the_apps_own_middleware(make_app, visit, options, schemes):
    schema = schema_of(visit(furnish(make_app(**options))))
    assert schema["components"]["securitySchemes"] == schemes
    assert schema["paths"]["/me"]["get"]["security"] == [{name: []} for name in schemes]


def test_either_scheme_is_enough_for_whatever_depends_on_the_session(app, visit):
    @app.get("/current")
    async def current(session: CurrentSession): ...

    @app.get("/required")
    async def required(session: RequiredSession): ...

    @app.get("/fresh")
    async def fresh(session: Annotated[StarletteSession, FreshSession(300)]): ...

    @app.get("/guarded", dependencies=[FreshSession(300)])
    async def guarded(): ...

    @app.get("/user")
    async def user(user: CurrentUser): ...

    @app.get("/blocking")
    def blocking(session: BlockingSession): ...

    router = APIRouter(dependencies=[FreshSession(300)])

    @router.get("/routed")
    async def routed(): ...

    @app.get("/open")
    async def without(): ...

    app.include_router(router)
    paths = schema_of(visit(app))["paths"]
    assert "security" not in paths.pop("/open")["get"]
    assert list(paths) == ["/current", "/required", "/fresh", "/guarded", "/user", "/blocking", "/routed"]
    for said in paths.values():
        assert said["get"]["security"] == [{"SessionCookie": []}, {"SessionToken": []}]


def test_the_dependencies_ask_for_no_parameter(app, visit):
    operations = [said for path in schema_of(visit(furnish(app)))["paths"].values() for said in path.values()]
    asked = {parameter["name"] for said in operations for parameter in said.get("parameters", ())}
    assert asked == {"key", "value", "user"}  # of the paths


def test_two_apps_in_one_process_show_each_its_own(make_app, visit):
    one, other = (visit(furnish(make_app(session_cookie=name))) for name in ("one", "other"))
    assert schemes_of(one)["SessionCookie"] == cookie("one")
    assert schemes_of(other)["SessionCookie"] == cookie("other")
    assert schemes_of(one)["SessionCookie"] == cookie("one")


def test_a_mounted_app_shows_the_middleware_that_serves_it(make_app, visit):
    app, without = make_app(session_cookie="outer"), furnish(FastAPI())
    app.mount("/without", without)
    app.mount("/own", furnish(make_app(session_cookie="inner", header="X-Token")))
    client = visit(furnish(app))
    assert schemes_of(client, "/own/openapi.json") == {
        "SessionCookie": cookie("inner"),
        "SessionToken": header("X-Token"),
    }
    assert schemes_of(client, "/without/openapi.json")["SessionCookie"] == cookie("outer")
    assert schemes_of(client)["SessionCookie"] == cookie("outer")


def test_the_schema_may_be_made_when_the_app_starts(make_app, visit):
    made = []

    @asynccontextmanager
    async def lifespan(app):
        made.append(app.openapi()["components"]["securitySchemes"]["SessionCookie"])
        yield

    visit(furnish(make_app(session_cookie="sid", lifespan=lifespan)))
    assert made == [cookie("sid")]


def test_outside_of_any_request_the_schema_is_that_of_the_defaults(app):
    assert furnish(app).openapi()["components"]["securitySchemes"]["SessionCookie"] == cookie(COOKIE)


@pytest.mark.parametrize("header", ["Authorization", "X-Token"])
def test_the_docs_page_authorizes_with_the_token_of_a_json_sign_in(make_app, visit, header):
    page = visit(furnish(make_app(header=header)))
    (url,) = re.findall(r"url: '([^']+)'", page.get("/docs").text)
    scheme = schemes_of(page, url)["SessionToken"]
    assert page.get("/user").status_code == 401
    sent = authorize(scheme, page.post("/token/ada").json()["token"])
    answer = page.get("/user", headers=sent)
    assert (answer.status_code, answer.json(), "Set-Cookie" in answer.headers) == (200, "ada", False)
    page.post("/logout", headers=sent)
    assert page.get("/user", headers=sent).status_code == 401
