"""How the middleware is set up, opens and closes; its options; apps in many event loops."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from contextlib import asynccontextmanager

import pytest
import redis
import redis.asyncio
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette_kit import SITE, UNKNOWN_TOKEN, ask, cookies_set, no_more, send_token, serves, token_of, visit

from redisess_core import AsyncSessionManager, NamespaceMismatch, SessionManager
from redisess_core.web import MANAGER_OPTIONS, WEB_OPTIONS
from redisess_starlette import RedisessMiddleware, current_session, manager
from redisess_starlette.state import ManagerOptions

DEAD = "redis://127.0.0.1:1/0"


async def nothing(scope, receive, send):
    """Be an app."""


# What is refused at the start


@pytest.mark.parametrize(
    ("store", "error", "said"),
    [
        (redis.Redis.from_url, TypeError, "SessionManager"),
        (SessionManager, TypeError, "SessionManager given, which blocks"),
        (lambda url: redis.asyncio.Redis.from_url(url).pipeline(), TypeError, "client"),
        (lambda url: None, TypeError, "client"),
        (lambda url: {"host": "localhost"}, TypeError, "client"),
        (lambda url: "localhost:6379", ValueError, "redis://"),
        (lambda url: "http://localhost", ValueError, "redis://"),
        (lambda url: "redis://localhost/zero", ValueError, "database"),
        (lambda url: "redis://localhost?timeout=1", ValueError, "timeout"),
    ],
)
def test_a_store_that_is_none_is_refused_with_what_is_wanted(redis_url, store, error, said):
    given = store(redis_url)
    with pytest.raises(error, match=said):
        RedisessMiddleware(nothing, given)
    if isinstance(given, (redis.Redis, SessionManager)):
        given.close()


class AsyncSkip:
    """A callable object, whose answer has to be awaited."""

    async def __call__(self, connection):
        return False


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"max_age": 1.5}, TypeError, "max_age: 1.5 given"),
        ({"max_age": True}, TypeError, "max_age: True given"),
        ({"max_age": "60"}, TypeError, "max_age: '60' given"),
        ({"skip": "/static"}, TypeError, "skip: str given"),
        ({"skip": asyncio.sleep}, TypeError, "skip: a coroutine function given"),
        ({"skip": AsyncSkip()}, TypeError, "skip: a coroutine function given"),
        ({"header": ""}, ValueError, "header"),
        ({"header": "X Auth"}, ValueError, "header"),
        ({"header": "Cookie"}, ValueError, "header"),
        ({"header": 1}, TypeError, "header"),
        ({"session_cookie": ""}, ValueError, "name"),
        ({"session_cookie": "my session"}, ValueError, "name"),
        ({"session_cookie": b"sid"}, TypeError, "name"),
        ({"session_cookie": "__Host-sid", "domain": "example.com"}, ValueError, "domain"),
        ({"session_cookie": "__Host-sid", "path": "/app"}, ValueError, "path"),
        ({"session_cookie": "__Secure-sid", "https_only": False}, ValueError, "secure"),
        ({"path": "app"}, ValueError, "path"),
        ({"domain": "https://example.com"}, ValueError, "domain"),
        ({"same_site": "sometimes"}, ValueError, "same_site"),
        ({"same_site": "none", "https_only": False}, ValueError, "secure"),
        ({"partitioned": True, "https_only": False}, ValueError, "secure"),
        ({"https_only": "false"}, TypeError, "https_only"),
        ({"partitioned": "yes"}, TypeError, "partitioned"),
        ({"rolling": "no"}, TypeError, "rolling"),
        ({"clear_site_data": 1}, TypeError, "clear_site_data"),
        ({"namespace": "a{b}"}, ValueError, "namespace"),
        ({"ttl": -1}, ValueError, "ttl"),
        ({"on_limit": "ask"}, ValueError, "on_limit"),
        ({"secret_key": "x"}, TypeError, "secret_key"),
        ({"time_to_live": 60}, TypeError, "time_to_live"),
    ],
)
def test_a_wrong_or_unknown_option_is_refused_at_the_start(options, error, said):
    with pytest.raises(error, match=said):
        RedisessMiddleware(nothing, "redis://localhost", **options)


def test_an_app_with_a_wrong_option_does_not_start(make_app):
    with pytest.raises(TypeError, match="max_age"), TestClient(make_app(max_age="60")):
        pass


def test_options_beside_a_manager_which_has_its_own_are_refused(redis_url):
    with pytest.raises(TypeError, match=r"namespace, ttl given beside a manager"):
        RedisessMiddleware(nothing, AsyncSessionManager(redis_url), namespace="a", ttl=60)


def test_each_option_of_the_one_table_is_taken():
    assert set(ManagerOptions.__annotations__) == {option.name for option in MANAGER_OPTIONS}
    taken = inspect.signature(RedisessMiddleware).parameters
    assert {option.name: option.default for option in WEB_OPTIONS} == {
        option.name: taken[option.name].default for option in WEB_OPTIONS
    }


# What is taken


def test_options_reach_the_manager(make_app):
    app = make_app(additional_fields=["role"], ttl=60, max_lifetime=600, touch_interval=0, max_data_bytes=100)

    def view(request):
        made = manager(request)
        return [*made.additional_fields, made.ttl, made.max_lifetime, made.touch_interval, made.max_data_bytes]

    serves(app, view)
    assert visit(app, "/").json() == ["role", 60, 600, 0, 100]


@pytest.mark.parametrize("decode_responses", [False, True])
def test_a_client_of_ones_own_is_used_and_not_closed(redis_url, make_app, redis_client, decode_responses):
    client = redis.asyncio.Redis.from_url(redis_url, decode_responses=decode_responses)

    @asynccontextmanager
    async def lifespan(app):
        yield

    async def still_there():
        assert await client.ping()
        await client.aclose()

    app = make_app(client, app={"lifespan": lifespan})
    with TestClient(app, SITE) as browser:
        browser.post("/set/a/käse")
        assert browser.get("/me").json()["data"] == {"a": "käse"}
        lives = client.connection_pool._available_connections
        assert lives
        browser.portal.call(still_there)


class TestLifespan:
    """Run an app's lifespan in the running event loop."""

    __test__ = False

    def __init__(self, app):
        self.app = app

    async def __aenter__(self):
        self.asked, self.told = asyncio.Queue(), asyncio.Queue()
        self.task = asyncio.ensure_future(self.app({"type": "lifespan"}, self.asked.get, self.told.put))
        await self.asked.put({"type": "lifespan.startup"})
        assert (await self.told.get())["type"] == "lifespan.startup.complete"
        return self.app

    async def __aexit__(self, *_):
        await self.asked.put({"type": "lifespan.shutdown"})
        assert (await self.told.get())["type"] == "lifespan.shutdown.complete"
        await self.task


# Opening and closing


@pytest.fixture
def connections(redis_client):
    """Wait until no more connections are open than when the test began: `connections.settle()`."""

    class Connections:
        def open(self):
            return {client["id"] for client in redis_client.client_list()} - self.before

        def settle(self):
            deadline = time.monotonic() + 20
            while self.open():  # a server notes a moment later that a client has gone
                assert time.monotonic() < deadline, redis_client.client_list()

    redis_client.ping()
    Connections.before = {client["id"] for client in redis_client.client_list()}
    return Connections()


def test_a_lifespan_opens_at_its_start_and_leaves_no_connection(make_app, connections):
    app = make_app()
    with TestClient(app, SITE) as client:
        assert connections.open()
        client.post("/login/ada")
    connections.settle()


@pytest.mark.anyio
async def test_a_manager_of_ones_own_is_used_and_not_closed(redis_url, namespace, make_app, connections):
    async with AsyncSessionManager(redis_url, namespace=namespace, additional_fields=["role"]) as own:
        async with TestLifespan(make_app(own)) as app:
            assert (await ask(app, "/login/ada", method="POST")).status_code == 200
        assert connections.open()
        assert await own.count() == 1
    connections.settle()


def test_an_app_may_be_started_again(make_app, connections):
    app, token = make_app(), None
    for _ in range(2):
        with TestClient(app, SITE) as client:
            if token is not None:
                assert client.get("/me", headers=send_token(token)).json()["user"] == "ada"
            client.post("/login/ada")
            token = token_of(client)
    connections.settle()


def test_the_apps_own_lifespan_runs_and_may_fail(make_app, connections):
    ran = []

    @asynccontextmanager
    async def lifespan(app):
        ran.append("up")
        yield {"given": 1}
        ran.append("down")
        raise ZeroDivisionError

    app = make_app(app={"lifespan": lifespan})
    serves(app, lambda request: {"given": request.state.given})
    with pytest.raises(ZeroDivisionError), TestClient(app, SITE) as client:
        assert client.get("/").json() == {"given": 1}
    assert ran == ["up", "down"]
    connections.settle()


def test_another_layout_is_found_at_startup_and_leaves_no_connection(make_app, redis_url, namespace, connections):
    with SessionManager(redis_url, namespace=namespace, shards=8) as other:
        other.create("ada")
    with pytest.raises(NamespaceMismatch, match="shards"), TestClient(make_app(), SITE):
        pass
    connections.settle()


@pytest.mark.anyio
async def test_an_app_that_does_not_start_leaves_no_connection(make_app, redis_url, namespace, connections):
    with SessionManager(redis_url, namespace=namespace, shards=8) as other:
        other.create("ada")
    told = asyncio.Queue()
    asked = asyncio.Queue()
    await asked.put({"type": "lifespan.startup"})
    with pytest.raises(NamespaceMismatch):
        await make_app()({"type": "lifespan"}, asked.get, told.put)
    assert (await told.get())["type"] == "lifespan.startup.failed"
    connections.settle()


def test_an_app_starts_while_redis_is_away_with_a_warning(make_app, caplog):
    with caplog.at_level(logging.WARNING, "redisess"), TestClient(make_app(DEAD), SITE) as client:
        (warning,) = [record.getMessage() for record in caplog.records if record.name == "redisess"]
        assert warning.startswith("started without Redis")
        assert client.get("/me").status_code == 200
        assert client.get("/me", headers=send_token(UNKNOWN_TOKEN)).status_code == 503


def test_an_app_that_was_started_while_redis_was_away_works_when_it_is_back(make_app, start_server):
    server = start_server()
    server.stop()
    with TestClient(make_app(server.url), SITE) as client:
        assert client.post("/login/ada").status_code == 503
        server.start()
        client.post("/login/ada")
        assert client.get("/me").json()["user"] == "ada"


def test_an_app_without_a_lifespan_is_told_so_and_works(redis_url, namespace):
    async def plain(scope, receive, send):
        assert scope["type"] != "lifespan", "no lifespan here"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x"})

    app = RedisessMiddleware(plain, redis_url, namespace=namespace)
    with pytest.raises(AssertionError, match="no lifespan here"):
        asyncio.run(app({"type": "lifespan"}, no_more, None))
    assert visit(app, "/", send_token(UNKNOWN_TOKEN)).text == "x"


def test_what_is_neither_a_request_nor_a_lifespan_is_passed_on(redis_url):
    seen = []

    async def other(scope, receive, send):
        seen.append(scope)

    asyncio.run(RedisessMiddleware(other, redis_url)({"type": "other"}, no_more, None))
    assert seen == [{"type": "other"}]


# Many event loops


def test_an_event_loop_for_each_request_works_and_leaves_no_connection(make_app, connections):
    app = make_app()
    client = TestClient(app, SITE)  # never entered: its requests run in a loop each
    client.post("/set/a/b")
    for _ in range(3):
        client.post("/login/ada")
        assert client.get("/me").json()["data"] == {"a": "b"}
    connections.settle()


def test_one_app_serves_several_runs_of_asyncio(make_app, connections):
    app = make_app()

    async def visits(token):
        answers = await asyncio.gather(*(ask(app, "/me", send_token(token)) for _ in range(5)))
        return [answer.json()["user"] for answer in answers]

    (cookie,) = cookies_set(asyncio.run(ask(app, "/login/ada", method="POST")))
    for _ in range(2):
        assert asyncio.run(visits(cookie.value)) == ["ada"] * 5
    connections.settle()


def test_two_loops_at_once_share_an_app(make_app, browse):
    app = make_app()
    one, other = browse(app), browse(app)
    one.post("/login/ada")
    for client in (one, other, one, other):
        assert client.get("/me", headers=send_token(token_of(one))).json()["user"] == "ada"


# Apps


def test_two_apps_of_one_process_do_not_meet_unless_they_share_a_namespace(make_app):
    one, same, other = make_app(), make_app(), make_app(namespace="other")
    (cookie,) = cookies_set(visit(one, "/login/ada", method="POST"))
    users = [visit(app, "/me", send_token(cookie.value)).json()["user"] for app in (one, same, other)]
    assert users == ["ada", "ada", None]


def test_a_namespace_of_eight_shards_serves_every_user(make_app, browse, look):
    client = browse(make_app(shards=8))
    users = [f"user{n}" for n in range(20)]
    for user in users:
        client.post(f"/set/cart/{user}")
        client.post(f"/login/{user}")
        me = client.get("/me").json()
        assert (me["user"], me["data"]) == (user, {"cart": user})
        client.post("/set/a/b")
        client.cookies.clear()
    stored = look(shards=8)
    assert sorted(stored.get_all_users()) == sorted(users)
    assert {token[1:3] for token in (each.session_id for each in stored.iter_sessions())} != {"aa"}
    assert stored.count() == 20


def test_requests_of_different_users_at_once_see_their_own_sessions_alone(make_app, look):
    app = make_app()
    tokens = {f"user{n}": look().create(f"user{n}").token for n in range(30)}

    async def view(request):
        user = current_session(request).user_id
        await asyncio.sleep(0)
        request.session["mine"] = user
        return {"user": current_session(request).user_id}

    async def visits():
        return await asyncio.gather(*(ask(app, "/", send_token(token)) for token in tokens.values()))

    serves(app, view)
    assert [answer.json()["user"] for answer in asyncio.run(visits())] == list(tokens)
    assert {user: look().authenticate(token).data["mine"] for user, token in tokens.items()} == {
        user: user for user in tokens
    }


def test_the_middleware_is_added_as_any_other(redis_url, namespace):
    app = Starlette()
    app.add_middleware(RedisessMiddleware, redis_url, namespace=namespace)
    assert Middleware(RedisessMiddleware, redis_url, namespace=namespace).args == (redis_url,)
    assert visit(app, "/nowhere").status_code == 404
