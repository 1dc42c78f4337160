"""Each defect that others had, and each row of the standards, that concerns an async app: a test named after it.

What is told at length elsewhere is told here once more in short, so that the list can be read as a list.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
import threading
from email.utils import parsedate_to_datetime

import pytest
import redis
import redis.asyncio
from starlette.authentication import requires
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette_kit import (
    COOKIE,
    UNKNOWN_TOKEN,
    ask,
    bearer,
    cookies_set,
    no_more,
    scope_of,
    send_token,
    serves,
    token_of,
    vary_of,
    visit,
)

import redisess_starlette
from redisess_core import RedisessError
from redisess_core.tokens import session_id_of
from redisess_starlette import (
    RedisessMiddleware,
    SessionAuthBackend,
    current_session,
    end_session,
    kill_user,
    login,
    logout,
    logout_everywhere,
    logout_others,
    manager,
)


def keys(client):
    return sorted(key for key in client.scan_iter() if not key.endswith(b":layout"))


def user_of(app, headers):
    return visit(app, "/me", headers).json()["user"]


def race(app, token, action, meanwhile):
    """Let *meanwhile* happen in the middle of a request that has read its session; give its response."""

    async def view(request):
        _ = request.session.get("a")
        result = meanwhile()
        if inspect.isawaitable(result):
            await result
        action(request.session)
        return "done"

    serves(app, view)
    return asyncio.run(ask(app, "/", send_token(token)))


# Defects of others


@pytest.mark.parametrize("carry", [send_token, bearer])
@pytest.mark.parametrize("path", ["/me", "/set/a/b", "/login/ada", "/logout"])
def test_an_id_that_the_client_chose_never_becomes_a_live_session(app, sessions, carry, path):
    visit(app, path, carry(UNKNOWN_TOKEN), "GET" if path == "/me" else "POST")
    assert sessions.authenticate(UNKNOWN_TOKEN) is None
    assert not sessions.exists(session_id_of(UNKNOWN_TOKEN))


def test_cve_2024_38513_ids_from_the_client_are_not_accepted(app, sessions):
    (cookie,) = cookies_set(visit(app, "/login/ada", send_token(UNKNOWN_TOKEN), "POST"))
    assert cookie.value != UNKNOWN_TOKEN
    assert sessions.get_all_sessions() == [session_id_of(cookie.value)]


@pytest.mark.parametrize(
    "action",
    [lambda session: None, lambda session: session.update(late=1), lambda session: session["cart"].append(1)],
)
def test_cve_2025_46336_a_request_that_ends_after_a_logout_writes_nothing_back(app, sessions, redis_client, action):
    token = sessions.create("ada", data={"cart": []}).token
    response = race(app, token, action, lambda: ask(app, "/logout", send_token(token), "POST"))
    assert not cookies_set(response)
    assert user_of(app, send_token(token)) is None
    assert keys(redis_client) == []


@pytest.mark.parametrize("when", ["open", "save"])
def test_a_redis_error_signs_nobody_out_and_replaces_no_cookie(make_app, browse, start_server, when):
    server = start_server()
    client = browse(make_app(server.url))

    def write(request):
        server.stop()
        request.session["a"] = 1

    serves(client.app, write)
    client.post("/login/ada")
    token = token_of(client)
    if when == "open":
        server.stop()
    response = client.get("/")
    assert response.status_code == 503
    assert not cookies_set(response)
    assert token_of(client) == token


def test_a_client_of_ones_own_is_taken_or_refused_never_replaced_by_localhost(redis_url, make_app):
    class OwnClient(redis.asyncio.Redis):
        pass

    own = OwnClient.from_url(redis_url)
    app = make_app(own)

    async def view(request):
        assert manager(request).client is own
        await own.aclose()

    serves(app, view)
    assert visit(app, "/").status_code == 200
    for refused in (redis.Redis(), object(), own.pipeline(), {"host": "localhost"}, None):
        with pytest.raises(TypeError, match=r"client: .* given, an async client of redis-py"):
            RedisessMiddleware(app, refused)


def test_a_rotation_leaves_no_old_id_alive(app, client, sessions):
    serves(app, lambda request: request.session.rotate())
    client.post("/login/ada")
    old = token_of(client)
    client.get("/")
    assert sessions.authenticate(old) is None
    assert user_of(app, send_token(old)) is None
    assert sessions.count() == 1


def test_renewing_a_token_does_not_reset_the_absolute_deadline_and_a_sign_in_does(make_app, browse, clock):
    client = browse(make_app(clock=clock, max_lifetime=1000))
    serves(client.app, lambda request: request.session.rotate())
    client.post("/login/ada")
    clock.advance(900)
    client.get("/")
    clock.advance(100)
    assert client.get("/me").json()["user"] is None
    client.post("/login/ada")
    clock.advance(900)
    client.post("/login/ada")
    clock.advance(900)
    assert client.get("/me").json()["user"] == "ada"


def test_no_write_on_every_request_no_session_for_every_visitor_no_cookie_on_everything(
    make_app, browse, tmp_path, wire, redis_client
):
    (tmp_path / "style.css").write_text("body {}")
    client = browse(make_app(routes=[Mount("/static", StaticFiles(directory=tmp_path))]))
    paths = ("/", "/me", "/nowhere", "/static/style.css")
    with wire() as seen:
        for path in paths:
            response = client.get(path)
            assert not cookies_set(response)
            assert "no-store" not in response.headers.get("cache-control", "")
    assert seen.names == []
    assert keys(redis_client) == []
    client.post("/login/ada")
    client.get("/me")
    with wire() as seen:
        for path in paths:
            assert not cookies_set(client.get(path))
    assert not [
        command for command in seen.in_scripts if command.name in ("HSET", "HDEL", "ZADD", "ZREM", "PEXPIRE", "PUBLISH")
    ]


@pytest.mark.parametrize("rolling", [False, True])
def test_cve_2023_30861_a_cookie_that_is_sent_or_renewed_is_kept_out_of_caches(make_app, browse, rolling):
    client = browse(make_app(rolling=rolling, max_age=600))
    cached = {"Cache-Control": "public, max-age=600"}

    def begin(request):
        request.session["a"] = 1
        return Response(headers=cached)

    for view in (begin, lambda request: Response(headers=cached)):
        serves(client.app, view)
        response = client.get("/")
        if cookies_set(response):
            assert response.headers["cache-control"] == "no-store"
            assert vary_of(response) == ["cookie"]
        else:
            assert not rolling


@pytest.mark.parametrize("read", [lambda session: "a" in session, len, list, bool])
def test_cve_2026_27205_a_look_at_the_keys_alone_varies_by_cookie(app, client, read):
    serves(app, lambda request: str(read(request.session)))
    client.post("/set/a/b")
    assert vary_of(client.get("/")) == ["cookie"]


@pytest.mark.anyio
async def test_what_is_async_is_native_and_hops_to_no_thread(app, sessions, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a thread was asked for")

    async def view(request):
        request.session["a"] = 1
        await current_session(request).save()
        await redisess_starlette.sessions(request)
        login(request, "ada")

    serves(app, view)
    token = sessions.create("ada").token
    await ask(app, "/", send_token(token))
    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(asyncio.get_running_loop(), "run_in_executor", refuse)
    token = sessions.create("ada").token
    (cookie,) = cookies_set(await ask(app, "/", send_token(token)))
    assert (await ask(app, "/logout", send_token(cookie.value), "POST")).text == "bye"


def test_cve_2023_20866_no_token_is_logged_whatever_happens(make_app, browse, look, caplog):
    caplog.set_level(logging.DEBUG)
    options = {"max_sessions_per_user": 1, "on_limit": "refuse", "max_data_bytes": 50}
    client = browse(make_app(**options), raise_server_exceptions=False)

    def slow(request):
        session = current_session(request)
        logging.getLogger("app").warning("session is %s %r %s", session, session, session.exchange.found)
        if session.session_id:
            look(**options).kill(session.session_id)
        request.session["late"] = 1

    serves(client.app, slow)
    tokens = [UNKNOWN_TOKEN]
    for path in ("/set/a/b", "/login/ada", f"/set/big/{'x' * 99}", "/", "/login/ada", "/login/bob", "/logout"):
        client.post(path)
        visit(client.app, "/login/ada", send_token(UNKNOWN_TOKEN), "POST")
        tokens.append(token_of(client))
    assert len(caplog.records) > 3
    assert not any(token in caplog.text for token in tokens if token)


def test_a_page_of_devices_shows_handles_and_no_tokens(app, client, sessions):
    async def view(request):
        return {"devices": [repr(vars(each)) for each in await redisess_starlette.sessions(request)]}

    serves(app, view)
    other = sessions.create("ada").token
    client.post("/login/ada")
    page = client.get("/").text
    assert session_id_of(other) in page
    assert other not in page
    assert user_of(app, send_token(session_id_of(other))) is None


@pytest.mark.anyio
async def test_the_limit_holds_when_twenty_devices_sign_in_at_once(make_app, look):
    app = make_app(max_sessions_per_user=5)
    await asyncio.gather(*(ask(app, "/login/ada", method="POST") for _ in range(20)))
    assert look(max_sessions_per_user=5).count_for_user("ada") == 5


@pytest.mark.parametrize("payload", [b"\x80\x04N.", b'{"~x:unknown":1}', b"", b'"cut', b"NaN", b'{"~b":"!"}'])
def test_cve_2026_39324_a_value_that_does_not_decode_is_refused_not_decoded_otherwise(
    app, browse, redis_client, payload
):
    client = browse(app, raise_server_exceptions=False)
    client.post("/set/a/b")
    (key,) = [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"]
    redis_client.hset(key, "d:a", payload)
    response = client.get("/me")
    assert response.status_code == 500
    assert not cookies_set(response)

    def view(request):
        with pytest.raises(RedisessError, match="decode"):
            _ = request.session["a"]
        return {"mirrored": list(dict.items(request.session))}

    serves(app, view)
    assert client.get("/").json() == {"mirrored": []}


def test_cve_2024_35220_a_cookie_that_the_client_keeps_longer_does_not_outlive_the_session(make_app, clock):
    app = make_app(clock=clock, max_age=60)
    (cookie,) = cookies_set(visit(app, "/login/ada", method="POST"))
    assert cookie.attributes["max-age"] == "60"
    clock.advance(60)
    assert user_of(app, send_token(f"{cookie.value}; Max-Age=99999")) is None


@pytest.mark.parametrize("ttl", [0.0004, 0.3, 1])
def test_better_auth_10992_a_positive_ttl_is_never_rounded_to_for_ever(app, client, redis_client, clock, ttl):
    serves(app, lambda request: login(request, "ada", ttl=ttl))
    client.get("/")
    for key in keys(redis_client):
        assert redis_client.pttl(key) != -1
    clock.advance(1)
    assert client.get("/me").json()["user"] is None


@pytest.mark.parametrize(
    "options",
    [
        {"session_cookie": "sid=x; Domain=evil.example"},
        {"session_cookie": "sid\r\nX-Injected: 1"},
        {"path": "/; Domain=evil.example"},
        {"path": "/\r\nX-Injected: 1"},
        {"domain": "example.com; Secure"},
        {"domain": "example.com\r\nX-Injected: 1"},
        {"same_site": "lax; Domain=evil.example"},
    ],
)
def test_cve_2024_47764_a_name_path_or_domain_that_injects_is_refused_at_the_start(app, options):
    with pytest.raises(ValueError, match=r"name|path|domain|same_site"):
        RedisessMiddleware(app, "redis://localhost", **options)


@pytest.mark.parametrize("empty", ["", " ", '""'])
def test_cve_2015_3982_an_empty_id_is_no_session(app, sessions, wire, empty):
    with wire() as seen:
        assert visit(app, "/me", send_token(empty)).json()["id"] is None
        assert visit(app, "/me", {"Authorization": f"Bearer {empty}"}).json()["id"] is None
    assert seen.names == []


def test_cve_2015_5143_and_5963_a_logout_or_any_other_request_creates_no_record(app, client, redis_client):
    for headers in ({}, send_token(UNKNOWN_TOKEN), bearer(UNKNOWN_TOKEN)):
        for path, method in (("/logout", "POST"), ("/me", "GET"), ("/nowhere", "GET")):
            visit(app, path, headers, method)
    for path in ("/login/ada", "/logout", "/logout"):
        client.post(path)
    assert keys(redis_client) == []


def test_a_session_of_someone_else_is_not_revoked_by_its_id(app, client, sessions):
    adas = sessions.create("ada")

    async def view(request):
        return {"ended": await end_session(request, adas.session_id)}

    serves(app, view)
    client.post("/login/eve")
    assert client.get("/").json() == {"ended": False}
    assert sessions.exists(adas.session_id)


def test_cve_2023_29019_the_id_is_not_kept_over_a_login(client):
    client.post("/set/a/b")
    before = token_of(client)
    client.post("/login/ada")
    assert token_of(client) != before


def test_cve_2023_40273_a_password_reset_ends_the_users_sessions(app, client, sessions):
    stolen = sessions.create("ada").token

    async def view(request):
        return {"ended": await kill_user(request, "ada", keep=current_session(request).session_id)}

    serves(app, view)
    client.post("/login/ada")
    assert client.get("/").json() == {"ended": 1}
    assert sessions.authenticate(stolen) is None
    assert client.get("/me").json()["user"] == "ada"


@pytest.mark.parametrize(
    "planted", ["\xa0__Host-sid", "__host-sid", "__Host-sid\xa0", "\u2003__Host-sid", '"__Host-sid"']
)
@pytest.mark.anyio
async def test_ghsa_r5rp_j6wh_rvv4_a_name_that_only_looks_like_ours_is_not_our_cookie(
    make_app, sessions, clock, planted
):
    app, seen = make_app(clock=clock, session_cookie="__Host-sid"), []
    eves, adas = sessions.create("eve").token, sessions.create("ada").token
    serves(app, lambda request: seen.append(current_session(request).user_id))

    async def send(message):
        pass

    sent = f"{planted}={eves}".encode()
    for line in (sent, sent + f"; __Host-sid={adas}".encode()):
        await app({**scope_of(), "headers": [(b"cookie", line)]}, no_more, send)
    assert seen == [None, "ada"]


def test_supabase_213_a_request_in_flight_while_another_tab_rotates_does_not_sign_the_user_out(app, sessions):
    token = sessions.create("ada").token
    given = []

    async def other_tab():
        given.extend(cookies_set(await ask(app, "/login/ada", send_token(token), "POST")))

    for action in (lambda session: None, lambda session: session.update(late=1)):
        given.clear()
        response = race(app, token, action, other_tab)
        assert not cookies_set(response)
        (cookie,) = given
        assert user_of(app, send_token(cookie.value)) == "ada"
        token = cookie.value


def test_what_is_stored_in_redis_sent_as_a_cookie_authenticates_nobody(app, client, redis_client):
    client.post("/login/ada")
    token = token_of(client)
    found = set()
    for key in redis_client.scan_iter():
        found.add(key.decode())
        if redis_client.type(key) == b"hash":
            found |= {word.decode() for pair in redis_client.hgetall(key).items() for word in pair}
        elif redis_client.type(key) == b"zset":
            found |= {member.decode() for member in redis_client.zrange(key, 0, -1)}
    assert token not in " ".join(found)
    for text in found | {text.rpartition(":")[2] for text in found}:
        assert client.get("/me", headers=send_token(text.replace(";", ""))).json()["user"] is None


# OWASP ASVS 5.0


def test_asvs_7_2_1_a_session_is_verified_by_the_server_on_every_request(client, sessions):
    client.post("/login/ada")
    assert client.get("/me").json()["user"] == "ada"
    sessions.kill_user("ada")
    assert client.get("/me").json()["user"] is None


def test_asvs_7_2_2_and_7_2_3_a_token_is_random_with_128_bits_and_new_for_each_session(client):
    tokens = []
    for _ in range(50):
        tokens.append(cookies_set(client.post("/login/ada"))[0].value)
        client.cookies.clear()
    random = [token[3:] for token in tokens]
    assert all(re.fullmatch("[a-z2-7]{26,}", text) for text in random)  # 5 bits a character
    assert len({text[:13] for text in random}) == len({text[13:] for text in random}) == 50


def test_asvs_7_2_4_a_sign_in_and_a_second_one_give_a_new_token_and_end_the_old_one(client, sessions):
    tokens = []
    for path in ("/set/a/b", "/login/ada", "/login/ada"):
        client.post(path)
        tokens.append(token_of(client))
    assert len(set(tokens)) == 3
    assert [sessions.authenticate(token) is not None for token in tokens] == [False, False, True]


def test_asvs_7_3_1_a_session_ends_after_a_time_of_inactivity(client, clock):
    client.post("/login/ada")
    clock.advance(1799)
    assert client.get("/me").json()["user"] == "ada"
    clock.advance(1800)
    assert client.get("/me").json()["user"] is None


def test_asvs_7_3_2_a_session_ends_after_an_absolute_time(make_app, browse, clock):
    client = browse(make_app(clock=clock, max_lifetime=3600))
    client.post("/login/ada")
    for _ in range(3):
        clock.advance(1199)
        assert client.get("/me").json()["user"] == "ada"
    clock.advance(3)
    assert client.get("/me").json()["user"] is None


@pytest.mark.parametrize("end", ["logout", "expiry"])
def test_asvs_7_4_1_after_logout_or_expiry_a_token_is_of_no_further_use(app, client, clock, end):
    client.post("/login/ada")
    token = token_of(client)
    client.post("/logout") if end == "logout" else clock.advance(1800)
    for carry in (send_token, bearer):
        assert user_of(app, carry(token)) is None


def test_asvs_7_4_2_disabling_a_user_ends_all_of_that_users_sessions(app, browse):
    async def view(request):
        return {"ended": await kill_user(request, "ada")}

    clients = [browse(app) for _ in range(3)]
    for client in clients:
        client.post("/login/ada")
    serves(app, view)
    assert visit(app, "/").json() == {"ended": 3}
    assert [client.get("/me").json()["user"] for client in clients] == [None] * 3


def test_asvs_7_4_3_after_a_password_change_all_other_sessions_can_be_ended(app, client, sessions):
    async def view(request):
        login(request, "ada")
        return {"ended": await logout_others(request)}

    serves(app, view)
    sessions.create("ada")
    client.post("/login/ada")
    assert client.get("/").json() == {"ended": 1}
    assert client.get("/me").json()["user"] == "ada"


def test_asvs_7_4_5_an_administrator_ends_one_users_sessions_or_everybodys(app, client, sessions):
    async def view(request):
        return {
            "ended": await (kill_user(request, "ada") if "one" in request.query_params else manager(request).kill_all())
        }

    serves(app, view)
    for query, ended in (("one=1", 1), ("all=1", 2)):
        client.post("/login/ada")
        sessions.create("bob") if ended == 2 else None
        assert client.get(f"/?{query}").json() == {"ended": ended}
        assert client.get("/me").json()["user"] is None


def test_asvs_7_5_1_sensitive_changes_may_ask_for_a_fresh_sign_in(app, client, clock):
    def view(request):
        return "changed" if current_session(request).authenticated_within(300) else Response(status_code=401)

    serves(app, view)
    client.post("/login/ada")
    clock.advance(301)
    assert client.get("/").status_code == 401
    client.post("/login/ada")
    assert client.get("/").text == "changed"


def test_asvs_7_5_2_users_see_their_sessions_and_end_any_of_them(app, client, sessions):
    async def view(request):
        if key := request.query_params.get("end"):
            return {"ended": await end_session(request, key)}
        return [[each.session_id, each.ip, each.user_agent] for each in await redisess_starlette.sessions(request)]

    serves(app, view)
    other = sessions.create("ada", ip="192.0.2.1", user_agent="Firefox").session_id
    client.post("/login/ada", headers={"User-Agent": "Safari"})
    shown = client.get("/").json()
    assert sorted(row[1:] for row in shown) == [["192.0.2.1", "Firefox"], ["testclient", "Safari"]]
    assert client.get(f"/?end={other}").json() == {"ended": True}
    assert len(client.get("/").json()) == 1


def test_asvs_7_6_2_no_session_begins_without_the_users_act(app, redis_client):
    for path in ("/", "/me", "/nowhere"):
        assert not cookies_set(visit(app, path))
    assert keys(redis_client) == []


@pytest.mark.parametrize("name", [None, "__Host-sid", "__Secure-sid", "__Http-sid"])
def test_asvs_3_3_1_the_cookie_is_secure_and_has_a_prefixed_name(make_app, name):
    (cookie,) = cookies_set(visit(make_app(session_cookie=name), "/login/ada", method="POST"))
    assert cookie.name == (name or COOKIE)
    assert cookie.name.startswith("__")
    assert "secure" in cookie.attributes
    assert (cookie.attributes["path"], cookie.attributes.get("domain")) == ("/", None)


@pytest.mark.parametrize("same_site", ["lax", "strict"])
def test_asvs_3_3_2_the_cookie_has_the_same_site_attribute_that_is_asked_for(make_app, same_site):
    (cookie,) = cookies_set(visit(make_app(same_site=same_site), "/login/ada", method="POST"))
    assert cookie.attributes["samesite"] == same_site


def test_asvs_3_3_4_scripts_cannot_read_the_cookie(client):
    (cookie,) = cookies_set(client.post("/login/ada"))
    assert "httponly" in cookie.attributes


def test_asvs_3_3_5_name_and_value_stay_far_below_4096_bytes_whatever_is_stored(client):
    client.post(f"/set/big/{'x' * 5000}")
    assert len(f"{COOKIE}={token_of(client)}") < 60


def test_asvs_14_2_1_no_token_in_addresses(app, sessions):
    token = sessions.create("ada").token
    for query in ("session", "token", "access_token", "sid", COOKIE):
        assert visit(app, f"/me?{query}={token}").json()["user"] is None


@pytest.mark.parametrize("leave", ["logout", "clear and write", "everywhere"])
def test_asvs_14_3_1_a_sign_out_may_clear_what_the_browser_holds(make_app, browse, leave):
    async def view(request):
        match leave:
            case "logout":
                logout(request)
            case "everywhere":
                await logout_everywhere(request)
            case _:
                request.session.clear()
                request.session["note"] = "bye"

    client = browse(make_app(clear_site_data=True))
    serves(client.app, view)
    client.post("/login/ada")
    cleared = client.get("/").headers["clear-site-data"]
    assert '"storage"' in cleared
    assert ('"cookies"' in cleared) is (leave != "clear and write")


def test_asvs_16_2_5_what_is_logged_of_a_session_is_its_handle(app, sessions, caplog):
    token = sessions.create("ada").token
    race(app, token, lambda session: session.update(late=1), lambda: sessions.kill_user("ada"))
    assert session_id_of(token) in caplog.text
    assert token not in caplog.text


# The OWASP cheat sheet, RFC 6265bis, NIST SP 800-63B


def test_owasp_a_response_that_carries_the_token_is_not_stored_by_caches(client):
    assert client.post("/login/ada").headers["cache-control"] == "no-store"
    assert client.post("/token/ada").headers["cache-control"] == "no-store"


def test_owasp_the_life_of_a_session_is_told_with_handles(client, sessions):
    with sessions.events() as events:
        for path in ("/set/a/b", "/login/ada", "/logout"):
            client.post(path)
        told = [next(events) for _ in range(3)]
    assert [event.kind.value for event in told] == ["created", "rotated", "killed"]
    assert all(re.fullmatch("s[a-z2-7]{2}[0-9a-f]{25}", event.session_id) for event in told)


def test_rfc_6265bis_a_cookie_is_deleted_with_what_it_was_set_with(make_app):
    app = make_app(path="/app", domain="example.com", partitioned=True)
    (given,) = cookies_set(visit(app, "/login/ada", method="POST"))
    (removed,) = cookies_set(visit(app, "/logout", send_token(given.value, given.name), "POST"))
    assert removed.attributes.pop("max-age") == "0"
    assert parsedate_to_datetime(removed.attributes.pop("expires")).year == 1970
    assert removed == (given.name, "", given.attributes)


def test_rfc_6265bis_no_lifetime_beyond_400_days(make_app):
    (cookie,) = cookies_set(visit(make_app(max_age=10**9), "/login/ada", method="POST"))
    assert cookie.attributes["max-age"] == str(400 * 24 * 3600)


def test_rfc_6265bis_same_site_none_and_partitioned_need_secure(app):
    for options in ({"same_site": "none"}, {"partitioned": True}):
        with pytest.raises(ValueError, match="needs secure=True"):
            RedisessMiddleware(app, "redis://localhost", https_only=False, **options)


def test_python_before_3_14_does_not_know_partitioned_and_the_cookie_has_it(make_app):
    (cookie,) = cookies_set(visit(make_app(partitioned=True), "/login/ada", method="POST"))
    assert "partitioned" in cookie.attributes


def test_nist_800_63b_the_cookies_own_expiry_is_not_relied_on(app, clock):
    (cookie,) = cookies_set(visit(app, "/login/ada", method="POST"))
    assert "max-age" not in cookie.attributes
    clock.advance(1800)
    assert user_of(app, send_token(cookie.value)) is None


def test_a_page_for_users_refuses_an_anonymous_session(make_app, browse):
    @requires("authenticated")
    async def account(request):
        return PlainTextResponse("yours")

    inside = [Middleware(AuthenticationMiddleware, backend=SessionAuthBackend())]
    client = browse(make_app(routes=[Route("/account", account)], inside=inside))
    client.post("/set/cart/tea")
    assert client.get("/account").status_code == 403
    client.post("/login/ada")
    assert client.get("/account").text == "yours"
