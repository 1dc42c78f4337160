"""Each defect that others had, and each row of the standards, that concerns a web application: one test named after it.

What is told at length elsewhere is told here once more in short, so that the list can be read as a list.
"""

from __future__ import annotations

import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime

import pytest
import redis
import redis.asyncio
from flask import flash, session
from site_kit import (
    UNKNOWN_TOKEN,
    bearer,
    cookies_set,
    kill_current,
    manager_of,
    send_token,
    token_of,
    vary_of,
    visit,
)

import redisess_flask
from redisess_core.tokens import session_id_of
from redisess_flask import (
    Redisess,
    current_session,
    end_session,
    kill_user,
    login,
    logout_everywhere,
    logout_others,
    session_required,
)


def keys(client):
    return sorted(key for key in client.scan_iter() if not key.endswith(b":layout"))


def race(app, token, action, meanwhile):
    """Let a view wait in the middle while something else happens; give its response."""
    here, on = threading.Event(), threading.Event()

    def view():
        _ = session.get("a")
        here.set()
        assert on.wait(20)
        action()
        return "done"

    app.view_functions["index"] = view
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(visit, app, "/", send_token(token))
        assert here.wait(20)
        meanwhile()
        on.set()
        return answer.result(20)


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


@pytest.mark.parametrize("action", [lambda: None, lambda: session.update(late=1), lambda: session["cart"].append(1)])
def test_cve_2025_46336_a_request_that_ends_after_a_logout_writes_nothing_back(app, sessions, redis_client, action):
    token = sessions.create("ada", data={"cart": []}).token
    response = race(app, token, action, lambda: visit(app, "/logout", send_token(token), "POST"))
    assert not cookies_set(response)
    assert visit(app, "/me", send_token(token)).json["user"] is None
    assert keys(redis_client) == []


@pytest.mark.parametrize("when", ["open", "save"])
def test_a_redis_error_signs_nobody_out_and_replaces_no_cookie(make_app, start_server, when):
    server = start_server()
    app = make_app(REDISESS_URL=server.url)

    def write():
        server.stop()
        session["a"] = 1
        return ""

    app.view_functions["index"] = write
    client = app.test_client()
    client.post("/login/ada")
    token = token_of(client)
    if when == "open":
        server.stop()
    response = client.get("/")
    assert response.status_code == 503
    assert not cookies_set(response)
    assert token_of(client) == token


def test_a_client_of_ones_own_is_taken_or_refused_never_replaced_by_localhost(bare_app, redis_url):
    class OwnClient(redis.Redis):
        pass

    own = OwnClient.from_url(redis_url)
    app = bare_app(REDISESS_CLIENT=own)
    Redisess(app)
    assert manager_of(app).client is own
    own.close()
    for refused in (redis.asyncio.Redis(), object(), own.pipeline(), {"host": "localhost"}):
        with pytest.raises(TypeError, match=r"client: .* given, a blocking client of redis-py"):
            Redisess(bare_app(REDISESS_CLIENT=refused))


def test_a_rotation_leaves_no_old_id_alive(app, client, sessions):
    app.view_functions["index"] = lambda: current_session.rotate() or ""
    client.post("/login/ada")
    old = token_of(client)
    client.get("/")
    assert sessions.authenticate(old) is None
    assert visit(app, "/me", send_token(old)).json["user"] is None
    assert sessions.count() == 1


def test_renewing_a_token_does_not_reset_the_absolute_deadline_and_a_sign_in_does(make_app, clock):
    app = make_app(REDISESS_CLOCK=clock, REDISESS_MAX_LIFETIME=1000)
    app.view_functions["index"] = lambda: current_session.rotate() or ""
    client = app.test_client()
    client.post("/login/ada")
    clock.advance(900)
    client.get("/")
    clock.advance(100)
    assert client.get("/me").json["user"] is None
    client.post("/login/ada")
    clock.advance(900)
    client.post("/login/ada")
    clock.advance(900)
    assert client.get("/me").json["user"] == "ada"


def test_no_write_on_every_request_no_session_for_every_visitor_no_cookie_on_everything(
    app, client, wire, redis_client
):
    with wire() as seen:
        for path in ("/", "/me", "/nowhere", "/static/style.css"):
            response = visit(app, path)
            assert not cookies_set(response)
            assert "no-store" not in response.headers.get("Cache-Control", "")
    assert seen.names == []
    assert keys(redis_client) == []
    client.post("/login/ada")
    client.get("/me")
    with wire() as seen:
        for path in ("/", "/me", "/static/style.css"):
            assert not cookies_set(client.get(path, buffered=True))
    assert not [
        command for command in seen.in_scripts if command.name in ("HSET", "HDEL", "ZADD", "ZREM", "PEXPIRE", "PUBLISH")
    ]


@pytest.mark.parametrize("permanent", [False, True])
def test_cve_2023_30861_a_cookie_that_is_sent_or_renewed_is_kept_out_of_caches(app, client, permanent):
    @app.post("/begin")
    def begin():
        session.permanent = permanent
        session["a"] = 1
        return "", 200, {"Cache-Control": "public, max-age=600"}

    app.view_functions["index"] = lambda: ("", 200, {"Cache-Control": "public, max-age=600"})
    for response in (client.post("/begin"), client.get("/")):
        if cookies_set(response):
            assert response.headers["Cache-Control"] == "no-store"
            assert vary_of(response) == ["cookie"]
        else:
            assert not permanent


@pytest.mark.parametrize("read", [lambda: "a" in session, lambda: len(session), lambda: list(session)])
def test_cve_2026_27205_a_look_at_the_keys_alone_varies_by_cookie(app, client, read):
    app.view_functions["index"] = lambda: str(read())
    client.post("/set/a/b")
    assert vary_of(client.get("/")) == ["cookie"]


def test_cve_2023_20866_no_token_is_logged_whatever_happens(make_app, caplog):
    caplog.set_level(logging.DEBUG)
    app = make_app(REDISESS_MAX_SESSIONS_PER_USER=1, REDISESS_ON_LIMIT="refuse", REDISESS_MAX_DATA_BYTES=50)

    @app.post("/slow")
    def slow():
        app.logger.warning("session is %s %r %s", session, session, current_session._get_current_object())
        kill_current()
        session["late"] = 1
        return ""

    tokens = [UNKNOWN_TOKEN]
    client = app.test_client()
    for path in ("/set/a/b", "/login/ada", f"/set/big/{'x' * 99}", "/slow", "/login/ada", "/login/bob", "/logout"):
        client.post(path)
        visit(app, "/login/ada", send_token(UNKNOWN_TOKEN), "POST")
        tokens.append(token_of(client))
    assert len(caplog.records) > 3
    assert not any(token in caplog.text for token in tokens if token)


def test_a_page_of_devices_shows_handles_and_no_tokens(app, client, sessions):
    app.view_functions["index"] = lambda: {"devices": [repr(vars(each)) for each in redisess_flask.sessions()]}
    other = sessions.create("ada").token
    client.post("/login/ada")
    page = client.get("/").text
    assert session_id_of(other) in page
    assert other not in page
    assert visit(app, "/me", send_token(session_id_of(other))).json["user"] is None


def test_the_limit_holds_when_twenty_devices_sign_in_at_once(make_app):
    app = make_app(REDISESS_MAX_SESSIONS_PER_USER=5)
    with ThreadPoolExecutor(20) as pool:
        list(pool.map(lambda _: visit(app, "/login/ada", method="POST"), range(20)))
    assert manager_of(app).count_for_user("ada") == 5


@pytest.mark.parametrize("payload", [b"\x80\x04N.", b'{"~x:unknown":1}', b"", b'"cut', b"NaN", b'{"~b":"!"}'])
def test_cve_2026_39324_a_value_that_does_not_decode_is_refused_not_decoded_otherwise(
    app, client, redis_client, payload
):
    client.post("/set/a/b")
    (key,) = [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"]
    redis_client.hset(key, "d:a", payload)
    response = client.get("/me")
    assert response.status_code == 500
    assert not cookies_set(response)


def test_cve_2024_35220_a_cookie_that_the_client_keeps_longer_does_not_outlive_the_session(make_app, clock):
    app = make_app(REDISESS_CLOCK=clock, PERMANENT_SESSION_LIFETIME=60)

    @app.post("/begin")
    def begin():
        session.permanent = True
        login("ada")
        return ""

    (cookie,) = cookies_set(visit(app, "/begin", method="POST"))
    assert cookie.attributes["max-age"] == "60"
    clock.advance(60)
    assert visit(app, "/me", send_token(f"{cookie.value}; Max-Age=99999")).json["user"] is None


@pytest.mark.parametrize("ttl", [0.0004, 0.3, 1])
def test_a_positive_ttl_is_never_rounded_to_for_ever(app, client, redis_client, clock, ttl):
    app.view_functions["index"] = lambda: login("ada", ttl=ttl) or ""
    client.get("/")
    for key in keys(redis_client):
        assert redis_client.pttl(key) != -1
    clock.advance(1)
    assert client.get("/me").json["user"] is None


@pytest.mark.parametrize(
    "config",
    [
        {"SESSION_COOKIE_NAME": "sid=x; Domain=evil.example"},
        {"SESSION_COOKIE_NAME": "sid\r\nX-Injected: 1"},
        {"SESSION_COOKIE_PATH": "/; Domain=evil.example"},
        {"SESSION_COOKIE_PATH": "/\r\nX-Injected: 1"},
        {"SESSION_COOKIE_DOMAIN": "example.com; Secure"},
        {"SESSION_COOKIE_DOMAIN": "example.com\r\nX-Injected: 1"},
    ],
)
def test_cve_2024_47764_a_name_path_or_domain_that_injects_is_refused_at_the_start(bare_app, config):
    with pytest.raises(ValueError, match=r"name|path|domain"):
        Redisess(bare_app(**config))


@pytest.mark.parametrize("empty", ["", " ", '""'])
def test_cve_2015_3982_an_empty_id_is_no_session(app, sessions, wire, empty):
    with wire() as seen:
        assert visit(app, "/me", send_token(empty)).json["id"] is None
        assert visit(app, "/me", {"Authorization": f"Bearer {empty}"}).json["id"] is None
    assert seen.names == []


def test_cve_2015_5143_and_5963_a_logout_or_any_other_request_creates_no_record(app, sessions, redis_client):
    for headers in ({}, send_token(UNKNOWN_TOKEN), bearer(UNKNOWN_TOKEN)):
        for path, method in (("/logout", "POST"), ("/me", "GET"), ("/nowhere", "GET")):
            visit(app, path, headers, method)
    client = app.test_client()
    client.post("/login/ada")
    client.post("/logout")
    client.post("/logout")
    assert keys(redis_client) == []


def test_a_session_of_someone_else_is_not_revoked_by_its_id(app, client, sessions):
    adas = sessions.create("ada")
    app.view_functions["index"] = lambda: str(end_session(adas.session_id))
    client.post("/login/eve")
    assert client.get("/").text == "False"
    assert sessions.exists(adas.session_id)


def test_cve_2023_29019_the_id_is_not_kept_over_a_login(client):
    client.post("/set/a/b")
    before = token_of(client)
    client.post("/login/ada")
    assert token_of(client) != before


def test_cve_2023_40273_a_password_reset_ends_the_users_sessions(app, client, sessions):
    stolen = sessions.create("ada").token
    app.view_functions["index"] = lambda: str(kill_user("ada", keep=current_session.session_id))
    client.post("/login/ada")
    assert client.get("/").text == "1"
    assert sessions.authenticate(stolen) is None
    assert client.get("/me").json["user"] == "ada"


@pytest.mark.parametrize(
    "planted", ["\xa0__Host-sid", "__host-sid", "__Host-sid\xa0", "\u2003__Host-sid", '"__Host-sid"']
)
def test_ghsa_r5rp_j6wh_rvv4_a_name_that_only_looks_like_ours_is_not_our_cookie(make_app, planted):
    app = make_app(SESSION_COOKIE_NAME="__Host-sid")
    eves = manager_of(app).create("eve").token
    adas = manager_of(app).create("ada").token
    sent = f"{planted}={eves}".encode().decode("latin-1")
    raw = {"HTTP_COOKIE": sent}
    assert visit(app, "/me", environ_overrides=raw).json["user"] is None
    both = {"HTTP_COOKIE": f"{sent}; __Host-sid={adas}"}
    assert visit(app, "/me", environ_overrides=both).json["user"] == "ada"


@pytest.mark.parametrize("data", [{}, {"_permanent": True}])
def test_a_request_in_flight_while_another_tab_rotates_does_not_sign_the_user_out(app, sessions, data):
    token = sessions.create("ada", data=data).token
    given = []

    def other_tab():
        given.extend(cookies_set(visit(app, "/login/ada", send_token(token), "POST")))

    for action in (lambda: None, lambda: session.update(late=1)):
        given.clear()
        response = race(app, token, action, other_tab)
        assert not cookies_set(response)
        (cookie,) = given
        assert visit(app, "/me", send_token(cookie.value)).json["user"] == "ada"
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
        assert visit(app, "/me", send_token(text.replace(";", ""))).json["user"] is None


# OWASP ASVS 5.0


def test_asvs_7_2_1_a_session_is_verified_by_the_server_on_every_request(client, sessions):
    client.post("/login/ada")
    assert client.get("/me").json["user"] == "ada"
    sessions.kill_user("ada")
    assert client.get("/me").json["user"] is None


def test_asvs_7_2_2_and_7_2_3_a_token_is_random_with_128_bits_and_new_for_each_session(app):
    tokens = [cookies_set(visit(app, "/login/ada", method="POST"))[0].value for _ in range(50)]
    random = [token[3:] for token in tokens]
    assert all(re.fullmatch("[a-z2-7]{26,}", text) for text in random)  # 5 bits a character
    assert len({text[:13] for text in random}) == len({text[13:] for text in random}) == 50


def test_asvs_7_2_4_a_sign_in_and_a_second_one_give_a_new_token_and_end_the_old_one(app, client, sessions):
    client.post("/set/a/b")
    tokens = [token_of(client)]
    for _ in range(2):
        client.post("/login/ada")
        tokens.append(token_of(client))
    assert len(set(tokens)) == 3
    assert [sessions.authenticate(token) is not None for token in tokens] == [False, False, True]


def test_asvs_7_3_1_a_session_ends_after_a_time_of_inactivity(client, clock):
    client.post("/login/ada")
    clock.advance(1799)
    assert client.get("/me").json["user"] == "ada"
    clock.advance(1800)
    assert client.get("/me").json["user"] is None


def test_asvs_7_3_2_a_session_ends_after_an_absolute_time(make_app, clock):
    client = make_app(REDISESS_CLOCK=clock, REDISESS_MAX_LIFETIME=3600).test_client()
    client.post("/login/ada")
    for _ in range(3):
        clock.advance(1199)
        assert client.get("/me").json["user"] == "ada"
    clock.advance(3)
    assert client.get("/me").json["user"] is None


@pytest.mark.parametrize("end", ["logout", "expiry"])
def test_asvs_7_4_1_after_logout_or_expiry_a_token_is_of_no_further_use(app, client, clock, end):
    client.post("/login/ada")
    token = token_of(client)
    client.post("/logout") if end == "logout" else clock.advance(1800)
    for carry in (send_token, bearer):
        assert visit(app, "/me", carry(token)).json["user"] is None


def test_asvs_7_4_2_disabling_a_user_ends_all_of_that_users_sessions(app, sessions):
    clients = [app.test_client() for _ in range(3)]
    for client in clients:
        client.post("/login/ada")
    with app.app_context():
        assert kill_user("ada") == 3
    assert [client.get("/me").json["user"] for client in clients] == [None] * 3


def test_asvs_7_4_3_after_a_password_change_all_other_sessions_can_be_ended(app, client, sessions):
    app.view_functions["index"] = lambda: str(login("ada") or logout_others())
    sessions.create("ada")
    client.post("/login/ada")
    assert client.get("/").text == "1"
    assert client.get("/me").json["user"] == "ada"


def test_asvs_7_4_5_an_administrator_ends_one_users_sessions_or_everybodys(app, client, sessions):
    run = app.test_cli_runner().invoke
    client.post("/login/ada")
    assert run(args=["sessions", "kill-user", "ada"]).exit_code == 0
    assert client.get("/me").json["user"] is None
    client.post("/login/ada")
    sessions.kill_all()
    assert client.get("/me").json["user"] is None


def test_asvs_7_5_1_sensitive_changes_may_ask_for_a_fresh_sign_in(app, client, clock):
    app.view_functions["index"] = session_required(fresh=300)(lambda: "changed")
    client.post("/login/ada")
    clock.advance(301)
    assert client.get("/").status_code == 401
    client.post("/login/ada")
    assert client.get("/").text == "changed"


def test_asvs_7_5_2_users_see_their_sessions_and_end_any_of_them(app, client, sessions, clock):
    app.view_functions["index"] = lambda: [
        [each.session_id, each.ip, each.user_agent] for each in redisess_flask.sessions()
    ]
    app.view_functions["take"] = lambda key: str(end_session(key))
    other = sessions.create("ada", ip="192.0.2.1", user_agent="Firefox").session_id
    client.post("/login/ada", headers={"User-Agent": "Safari"})
    shown = client.get("/").json
    assert sorted(row[1:] for row in shown) == [["127.0.0.1", "Safari"], ["192.0.2.1", "Firefox"]]
    assert client.post(f"/pop/{other}").text == "True"
    assert len(client.get("/").json) == 1


def test_asvs_7_6_2_no_session_begins_without_the_users_act(app, redis_client):
    for path in ("/", "/me", "/nowhere"):
        assert not cookies_set(visit(app, path))
    assert keys(redis_client) == []


@pytest.mark.parametrize("name", ["__Host-sid", "__Secure-sid", "__Http-sid"])
def test_asvs_3_3_1_the_cookie_is_secure_over_https_and_may_have_a_prefixed_name(make_app, name):
    response = visit(make_app(SESSION_COOKIE_NAME=name), "/login/ada", method="POST", base_url="https://localhost")
    (cookie,) = cookies_set(response)
    assert cookie.name == name
    assert "secure" in cookie.attributes
    assert (cookie.attributes["path"], cookie.attributes.get("domain")) == ("/", None)


@pytest.mark.parametrize("same_site", ["Lax", "Strict"])
def test_asvs_3_3_2_the_cookie_has_the_same_site_attribute_that_is_asked_for(make_app, same_site):
    (cookie,) = cookies_set(visit(make_app(SESSION_COOKIE_SAMESITE=same_site), "/login/ada", method="POST"))
    assert cookie.attributes["samesite"] == same_site


def test_asvs_3_3_4_scripts_cannot_read_the_cookie(client):
    (cookie,) = cookies_set(client.post("/login/ada"))
    assert "httponly" in cookie.attributes


def test_asvs_3_3_5_name_and_value_stay_far_below_4096_bytes_whatever_is_stored(client):
    client.post(f"/set/big/{'x' * 5000}")
    assert len("session=" + token_of(client)) < 60


def test_asvs_14_2_1_no_token_in_addresses(app, client, sessions):
    token = sessions.create("ada").token
    for query in ("session", "token", "access_token", "sid"):
        assert visit(app, f"/me?{query}={token}").json["user"] is None
    with app.test_request_context():
        from flask import url_for

        login("ada")
        assert current_session.token not in url_for("me")


def test_asvs_14_3_1_a_sign_out_may_clear_what_the_browser_holds(make_app):
    app = make_app(REDISESS_CLEAR_SITE_DATA=True)
    app.view_functions["index"] = lambda: session.clear() or flash("bye") or ""
    app.view_functions["me"] = lambda: str(logout_everywhere())
    for path, method, cookies in (("/logout", "POST", True), ("/", "GET", False), ("/me", "GET", True)):
        client = app.test_client()
        client.post("/login/ada")
        cleared = client.open(path, method=method).headers["Clear-Site-Data"]
        assert '"storage"' in cleared
        assert ('"cookies"' in cleared) is cookies


def test_asvs_16_2_5_what_is_logged_of_a_session_is_its_handle(app, client, caplog):
    @app.post("/slow")
    def slow():
        kill_current()
        session["late"] = 1
        return ""

    client.post("/login/ada")
    token = token_of(client)
    client.post("/slow")
    assert session_id_of(token) in caplog.text
    assert token not in caplog.text


# The OWASP cheat sheet, RFC 6265bis, NIST SP 800-63B


def test_owasp_a_response_that_carries_the_token_is_not_stored_by_caches(app, client):
    app.view_functions["index"] = lambda: login("ada", transport="header") or {"token": current_session.token}
    assert client.post("/login/ada").headers["Cache-Control"] == "no-store"
    assert client.get("/").headers["Cache-Control"] == "no-store"


def test_owasp_the_life_of_a_session_is_told_with_handles(client, told):
    for path in ("/set/a/b", "/login/ada", "/logout"):
        client.post(path)
    assert [name for name, _ in told] == ["session_created", "session_rotated", "session_killed"]
    assert all(re.fullmatch("s[a-z2-7]{2}[0-9a-f]{25}", said["session_id"]) for _, said in told)


def test_rfc_6265bis_a_cookie_is_deleted_with_what_it_was_set_with(make_app):
    app = make_app(SESSION_COOKIE_PATH="/app", SESSION_COOKIE_DOMAIN="example.com", SESSION_COOKIE_PARTITIONED=True)
    (given,) = cookies_set(visit(app, "/login/ada", method="POST"))
    (removed,) = cookies_set(visit(app, "/logout", send_token(given.value), "POST"))
    assert removed.attributes.pop("max-age") == "0"
    assert parsedate_to_datetime(removed.attributes.pop("expires")).year == 1970
    assert removed.attributes == given.attributes


def test_rfc_6265bis_no_lifetime_beyond_400_days(make_app):
    app = make_app(PERMANENT_SESSION_LIFETIME=10**9)
    app.view_functions["index"] = lambda: setattr(session, "permanent", True) or login("ada") or ""
    (cookie,) = cookies_set(visit(app, "/"))
    assert cookie.attributes["max-age"] == str(400 * 24 * 3600)


def test_rfc_6265bis_same_site_none_and_partitioned_go_with_secure(make_app):
    partitioned = visit(make_app(SESSION_COOKIE_PARTITIONED=True), "/login/ada", method="POST")
    assert "secure" in cookies_set(partitioned)[0].attributes
    same_site = visit(make_app(SESSION_COOKIE_SAMESITE="None"), "/login/ada", method="POST")
    assert "secure" in cookies_set(same_site)[0].attributes


def test_nist_800_63b_the_cookies_own_expiry_is_not_relied_on(make_app, clock):
    app = make_app(REDISESS_CLOCK=clock)
    (cookie,) = cookies_set(visit(app, "/login/ada", method="POST"))
    assert "max-age" not in cookie.attributes
    clock.advance(1800)
    assert visit(app, "/me", send_token(cookie.value)).json["user"] is None


def test_rfc_9110_a_refusal_names_the_scheme_that_it_wants(app, client):
    app.view_functions["index"] = session_required(lambda: "secret")
    assert client.get("/").headers["WWW-Authenticate"].split()[0] == "Bearer"
