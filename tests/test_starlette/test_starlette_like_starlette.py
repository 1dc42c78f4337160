"""What Starlette promises of its session, told once and run over Starlette's own and over ours."""

from __future__ import annotations

import copy
import json
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette_kit import cookies_set, vary_of

from redisess_starlette import RedisessMiddleware

FORTNIGHT = 14 * 24 * 60 * 60


class Either:
    """An app with one of both sessions; give it views, then visit them."""

    def __init__(self, middleware, **options):
        self.app = Starlette(middleware=[Middleware(middleware, **options)])
        self.client = TestClient(self.app, raise_server_exceptions=False)

    def add(self, path, function):
        def view(request):
            result = function(request)
            return result if isinstance(result, Response) else JSONResponse({"result": result})

        self.app.router.routes.append(Route(path, view))

    def get(self, path):
        return self.client.get(path)

    def within(self, function):
        """Run *function* in a view; give what it returns, out of JSON."""
        path = f"/within{len(self.app.routes)}"
        self.add(path, function)
        return self.get(path).json()["result"]


@pytest.fixture(params=["starlette", "redisess"])
def make_either(request, redis_url, namespace):
    """Make apps with Starlette's own session in one run, with ours in the other."""
    own = {"middleware": SessionMiddleware, "secret_key": "for Starlette's own"}
    ours = {
        "middleware": RedisessMiddleware,
        "store": redis_url,
        "namespace": namespace,
        "session_cookie": "session",
        "max_age": FORTNIGHT,
        "https_only": False,
    }
    return lambda **options: Either(**{**(own if request.param == "starlette" else ours), **options})


@pytest.fixture
def either(make_either):
    with (made := make_either()).client:
        yield made


def test_what_one_request_stores_the_next_one_reads(either):
    either.within(lambda request: request.session.update(value=42))
    assert either.within(lambda request: request.session["value"]) == 42


def test_nothing_is_accessed_or_modified_until_it_is(either):
    def look(request):
        before = request.scope["session"].accessed
        session = request.session
        read = session.accessed, session.modified
        session["a"] = 1
        return [before, *read, session.modified]

    assert either.within(look) == [False, True, False, True]


READS = {
    "nothing but the session itself": lambda session: None,
    "get": lambda session: session.get("a"),
    "in": lambda session: "a" in session,
    "len": len,
    "list": list,
    "bool": bool,
    "keys": lambda session: list(session.keys()),
    "items": lambda session: list(session.items()),
    "copy": lambda session: session.copy(),
    "equality": lambda session: session == {},
}


@pytest.mark.parametrize("read", READS)
def test_vary_is_cookie_where_the_session_was_accessed(either, read):
    either.add("/", lambda request: READS[read](request.session))
    assert vary_of(either.get("/")) == ["cookie"]


def test_a_view_that_does_not_touch_the_session_has_no_vary_and_no_cookie(either):
    either.within(lambda request: request.session.update(a=1))
    either.add("/", lambda request: "session" in request.scope)
    response = either.get("/")
    assert response.json()["result"] is True
    assert "vary" not in response.headers
    assert not cookies_set(response)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("Accept-Encoding", ["accept-encoding", "cookie"]),
        ("Accept, Origin", ["accept", "origin", "cookie"]),
    ],
)
def test_vary_is_merged_with_what_the_view_had_set(either, given, expected):
    either.add("/", lambda request: Response(str(len(request.session)), headers={"Vary": given}))
    assert vary_of(either.get("/")) == expected


def test_the_cookie_is_set_only_by_what_changes_the_session(either):
    either.add("/write", lambda request: request.session.update(some="data"))
    either.add("/read", lambda request: dict(request.session))
    assert not cookies_set(either.get("/read"))
    assert cookies_set(either.get("/write"))
    assert not cookies_set(either.get("/read"))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"session_cookie": "sid"},
        {"max_age": None},
        {"max_age": 60},
        {"path": "/app"},
        {"domain": ".example.com"},
        {"same_site": "strict"},
        {"https_only": True},
        {"https_only": True, "same_site": "none"},
        {"https_only": True, "partitioned": True},
    ],
)
def test_the_cookie_has_the_attributes_that_starlette_gives_it(make_either, options):
    either = make_either(**options)
    either.add("/app", lambda request: request.session.update(a=1))
    (cookie,) = cookies_set(either.get("/app"))
    assert cookie.name == options.get("session_cookie", "session")
    cookie.attributes.pop("expires", None)  # ours says it for clients that do not know Max-Age
    max_age = options.get("max_age", FORTNIGHT)
    assert cookie.attributes == {
        "path": options.get("path", "/"),
        "httponly": "",
        "samesite": options.get("same_site", "lax"),
        **({"max-age": str(max_age)} if max_age is not None else {}),
        **({"secure": ""} if "https_only" in options else {}),
        **({"domain": ".example.com"} if "domain" in options else {}),
        **({"partitioned": ""} if "partitioned" in options else {}),
    }


@pytest.mark.parametrize("max_age", [0, -1])
def test_a_cookie_that_is_over_at_once_is_sent_and_of_no_use(make_either, max_age):
    either = make_either(max_age=max_age)
    either.add("/write", lambda request: request.session.update(a=1) or dict(request.session))
    either.add("/read", lambda request: dict(request.session))
    response = either.get("/write")
    assert response.json()["result"] == {"a": 1}
    (cookie,) = cookies_set(response)
    assert int(cookie.attributes["max-age"]) <= 0
    if max_age < 0:  # Starlette's own takes a cookie of this second
        assert either.client.get("/read", headers={"Cookie": f"session={cookie.value}"}).json()["result"] == {}


def test_a_session_that_is_emptied_loses_its_cookie(either):
    for empty in (lambda session: session.clear(), lambda session: session.pop("a"), lambda session: session.popitem()):
        either.within(lambda request: request.session.update(a=1))
        assert "session" in either.client.cookies
        either.within(lambda request, empty=empty: empty(request.session))
        assert "session" not in either.client.cookies


def test_json_sees_the_session_as_the_dict_that_it_is(either):
    either.within(lambda request: request.session.update(a=[1, {"b": None}]))
    expected = {"a": [1, {"b": None}]}
    assert either.within(lambda request: json.loads(json.dumps(request.session))) == expected
    assert either.within(lambda request: json.loads(json.dumps(request.session, indent=1))) == expected
    either.add("/json", lambda request: JSONResponse(request.session))
    assert either.get("/json").json() == expected


def test_the_session_is_a_dict_by_every_sign(either):
    def look(request):
        session = request.session
        session.update(a=1, b=2)
        return [
            isinstance(session, dict),
            session == {"a": 1, "b": 2},
            dict(session),
            {**session},
            session | {"b": 3},
            {"a": 0, "c": 4} | session,
            dict(session.items()),
            session.copy(),
            list(reversed(session)),
            isinstance(session.copy(), dict),
            SimpleNamespace(**session).a,
        ]

    both = {"a": 1, "b": 2}
    assert either.within(look) == [
        *(True, True, both, both, {"a": 1, "b": 3}, {"a": 1, "c": 4, "b": 2}, both, both, ["b", "a"], True, 1)
    ]


CHANGES = {
    "item": (lambda session: session.__setitem__("a", 2), {"a": 2, "b": 2}),
    "update": (lambda session: session.update({"a": 2}, c=3), {"a": 2, "b": 2, "c": 3}),
    "or": (lambda session: session.__ior__({"a": 2}), {"a": 2, "b": 2}),
    "or with pairs": (lambda session: session.__ior__([("a", 2)]), {"a": 2, "b": 2}),
    "pop": (lambda session: session.pop("a"), {"b": 2}),
    "popitem": (lambda session: session.popitem(), {"a": 1}),
    "setdefault": (lambda session: session.setdefault("c", 3), {"a": 1, "b": 2, "c": 3}),
    "setdefault of what is there": (lambda session: session.setdefault("a", 3), {"a": 1, "b": 2}),
    "del": (lambda session: session.__delitem__("a"), {"b": 2}),
    "clear": (lambda session: session.clear(), {}),
    "clear and go on": (lambda session: (session.clear(), session.update(c=3)), {"c": 3}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_way_to_change_a_dict_changes_the_session(either, change):
    alter, expected = CHANGES[change]
    either.within(lambda request: request.session.update(a=1, b=2))

    def view(request):
        alter(request.session)
        return [dict(request.session), json.loads(json.dumps(request.session)), len(request.session)]

    assert either.within(view) == [expected, expected, len(expected)]
    assert either.within(lambda request: dict(request.session)) == expected


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, dict, lambda session: session.copy()])
def test_a_copy_does_not_change_the_session(either, copied):
    either.within(lambda request: request.session.update(a=1))

    def view(request):
        made = copied(dict(request.session))
        made["a"] = 2
        return request.session["a"]

    assert either.within(view) == 1


def raises(error):
    def view(request):
        request.session["a"] = 1
        raise error

    return view


def test_a_failed_request_that_is_answered_keeps_its_changes(either):
    either.add("/fail", raises(HTTPException(409)))
    response = either.get("/fail")
    assert response.status_code == 409
    assert cookies_set(response)
    assert either.within(lambda request: dict(request.session)) == {"a": 1}


def test_a_failed_request_that_nobody_answers_loses_its_changes(either):
    either.add("/fail", raises(ZeroDivisionError()))
    response = either.get("/fail")
    assert response.status_code == 500
    assert not cookies_set(response)
    assert either.within(lambda request: dict(request.session)) == {}
