"""The session as a dict of data, and what else a view knows of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from starlette.responses import JSONResponse
from starlette_kit import SITE, bearer, cookies_set, send_token, serves, site, visit

from redisess_core import RedisessError, values
from redisess_starlette import current_session, login

TYPED = {
    "nothing": None,
    "huge": 2**200,
    "infinite": float("-inf"),
    "text": "käse 🧀 \u0000 \ud83d",
    "bytes": b"\xff\x00",
    "aware": datetime(2026, 11, 24, tzinfo=UTC),
    "date": date(2026, 11, 24),
    "price": Decimal("1.10"),
    "uuid": UUID(int=7),
    "tuple": (1, (2, [3])),
    "set": {1, "a", (2,)},
    "dict": {"a": {1: "int key"}},
}


@pytest.fixture
def within(app, client):
    """Run a function of the session in a view, for one browser: `within(lambda session: session.pop("a"))`."""

    def run(function, **options):
        results, failures = [], []

        async def view(request):
            try:
                result = function(request.session)
                results.append(await result if hasattr(result, "__await__") else result)
            except AssertionError as error:
                failures.append(error)
            return "done"

        serves(app, view)
        run.response = client.get("/", **options)
        for failure in failures:
            raise failure
        return results[0] if results else None

    return run


def mirror(session):
    """Give what reads past the methods of a dict, as encoders written in C do."""
    return dict(dict.items(session))


# A dict


@pytest.mark.parametrize("key", TYPED)
def test_a_value_comes_back_with_its_type(within, key):
    within(lambda session: session.update({key: TYPED[key]}))
    value = within(lambda session: session[key])
    assert value == TYPED[key]
    assert type(value) is type(TYPED[key])


def test_what_reads_past_the_methods_of_the_dict_finds_the_data_too(within):
    assert within(mirror) == {}
    within(lambda session: session.update(a=1, b=[2]))
    assert within(mirror) == {"a": 1, "b": [2]}


def kept(session):
    session["b"] = 2
    del session["a"]


MIRRORED = {
    "changes": (kept, {"b": 2, "list": [1]}),
    "login": (lambda session: session.login("ada"), {"a": 1, "list": [1]}),
    "logout": (lambda session: session.logout(), {}),
    "clear": (lambda session: session.clear(), {}),
    "clear and write": (lambda session: (session.clear(), session.update(c=3)), {"c": 3}),
    "logout and login": (lambda session: (session.logout(), session.login("ada")), {}),
    "another login": (lambda session: (session.login("ada"), session.login("bob")), {}),
    "rotate": (lambda session: session.rotate(), {"a": 1, "list": [1]}),
    "mutation": (lambda session: session["list"].append(2), {"a": 1, "list": [1, 2]}),
    "popitem": (lambda session: session.popitem(), {"a": 1}),
    "setdefault": (lambda session: session.setdefault("c", []).append(1), {"a": 1, "list": [1], "c": [1]}),
    "or": (lambda session: session.__ior__({"a": 2}), {"a": 2, "list": [1]}),
}


@pytest.mark.parametrize("change", MIRRORED)
@pytest.mark.parametrize("saved", [False, True])
def test_the_dict_is_right_at_once_after_a_change_and_after_it_was_saved(within, change, saved):
    act, expected = MIRRORED[change]
    within(lambda session: session.update(a=1, list=[1]))

    async def view(session):
        act(session)
        if saved:
            await session.save()
        return mirror(session), dict(session), json.loads(json.dumps(session))

    assert within(view) == (expected, expected, expected)


def test_the_dict_is_right_after_a_refused_change(make_app, browse):
    from redisess_core import SessionDataTooLarge, SessionLimitReached

    app = make_app(max_data_bytes=100, max_sessions_per_user=1, on_limit="refuse")
    client, seen = browse(app), []

    async def view(request):
        session = request.session
        session["big"] = "x" * 200
        with pytest.raises(SessionDataTooLarge):
            await session.save()
        seen.append(mirror(session))
        session.login("ada")
        with pytest.raises(SessionLimitReached):
            await session.save()
        seen.append(mirror(session))
        session.login("bob")
        await session.save()
        session.login("ada")
        seen.append(mirror(session))
        with pytest.raises(SessionLimitReached):
            await session.save()
        seen.append(mirror(session))

    visit(app, "/login/ada", method="POST")
    client.post("/set/a/1")
    serves(app, view)
    assert client.get("/").status_code == 200
    # A sign-in over another user's session is its sign-out; refused, it is none.
    assert seen == [{"a": "1"}, {"a": "1"}, {}, {"a": "1"}]


def test_the_dict_has_what_another_request_stored_as_soon_as_that_is_known(app, client, sessions):
    async def view(request):
        sessions.authenticate(request.session.token).set("b", 2)
        request.session.login("ada")
        await request.session.save()
        return [mirror(request.session), dict(request.session)]

    serves(app, view)
    client.post("/set/a/1")
    assert client.get("/").json() == [{"a": "1", "b": 2}] * 2


def test_the_dict_is_right_after_the_session_has_ended(within):
    async def view(session):
        session.login("ada")
        session["a"] = 1
        assert await session.logout_everywhere() == 1
        return mirror(session), dict(session), session.user_id

    assert within(view) == ({}, {}, None)


def test_what_only_another_process_can_decode_hinders_no_one_who_does_not_read_it(app, client, sessions, redis_client):
    client.post("/login/ada")
    client.post("/set/a/b")
    (key,) = (key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash")
    redis_client.hset(key, "d:markup", b'{"~x:elsewhere":"<b>"}')  # of a type that is registered elsewhere
    seen = []

    def view(request):
        session = request.session
        with pytest.raises(RedisessError, match="elsewhere"):
            _ = session["markup"]
        seen.append((session["a"], "markup" in session, sorted(session), mirror(session)))
        session["c"] = 1
        return "fine"

    serves(app, view)
    assert client.get("/").text == "fine"
    assert seen == [("b", True, ["a", "markup"], {"a": "b"})]
    assert redis_client.hget(key, "d:markup") == b'{"~x:elsewhere":"<b>"}'
    assert redis_client.hget(key, "d:c") == values.encode(1, "c")


def test_a_list_or_dict_that_is_changed_in_place_is_noticed(within):
    within(lambda session: session.update(list=[1], dict={"a": {"b": 1}}, other=[]))
    within(lambda session: (session["list"].append(2), session["dict"]["a"].update(b=2)))
    assert within(dict) == {"list": [1, 2], "dict": {"a": {"b": 2}}, "other": []}


def test_a_value_that_was_reached_past_the_methods_and_changed_in_place_is_noticed(within):
    within(lambda session: session.update(list=[1]))
    within(lambda session: dict.__getitem__(session, "list").append(2))
    assert within(dict) == {"list": [1, 2]}


def test_reading_mutable_values_writes_nothing(within, wire):
    within(lambda session: session.update(list=[1], set={"b", "a"}))
    with wire() as seen:
        within(lambda session: (list(session["list"]), sorted(session["set"])))
    assert len(seen) == 1


@pytest.mark.parametrize("value", [object(), [object()], lambda: None, {"a": {1j}}])
def test_a_value_that_cannot_be_stored_is_refused_at_the_assignment(within, value):
    def view(session):
        with pytest.raises(TypeError, match="key"):
            session["key"] = value
        return dict(session), mirror(session)

    assert within(view) == ({}, {})


@pytest.mark.parametrize("key", [1, None, b"a", ("a",)])
def test_a_key_that_is_no_text_is_refused_at_the_assignment(within, key):
    def view(session):
        with pytest.raises(TypeError):
            session[key] = 1
        return mirror(session)

    assert within(view) == {}


def test_a_session_in_a_json_response_is_read_when_the_response_is_made(app, client):
    def view(request):
        response = JSONResponse(request.session)
        request.session["late"] = 1
        return response

    client.post("/set/a/b")
    serves(app, view)
    assert client.get("/").json() == {"a": "b"}
    assert client.get("/me").json()["data"] == {"a": "b", "late": 1}


# What is known of it


def known(session):
    return {
        name: getattr(session, name)
        for name in ("user_id", "created", "authenticated_at", "last_access", "idle", "expires_in", "new", "fields")
    }


def test_what_a_request_knows_of_its_session(within, clock):
    nothing = dict.fromkeys(("user_id", "created", "authenticated_at", "last_access", "expires_in"))
    assert within(known) == {**nothing, "idle": 0.0, "new": True, "fields": {}}
    start = clock()
    within(lambda session: session.login("ada"))
    clock.advance(600)
    assert within(known) == {
        "user_id": "ada",
        "created": start,
        "authenticated_at": start,
        "last_access": start + 600,
        "idle": 0.0,
        "expires_in": 1800.0,
        "new": False,
        "fields": {},
    }


def test_additional_fields_are_read_and_set_by_a_sign_in(make_app):
    app = make_app(additional_fields=["role", "tenant"])
    seen = []

    def view(request):
        session = current_session(request)
        login(request, "ada", role="admin")
        seen.append(session.fields)
        with pytest.raises(TypeError, match="colour"):
            login(request, "ada", colour="red")

    serves(app, view)
    (cookie,) = cookies_set(visit(app, "/"))
    serves(app, lambda request: seen.append(current_session(request).fields))
    visit(app, "/", send_token(cookie.value))
    assert seen == [{"role": "admin", "tenant": None}] * 2


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"user_id": ""}, ValueError),
        ({"user_id": None}, TypeError),
        ({"user_id": "ada", "ttl": -1}, ValueError),
        ({"user_id": "ada", "ttl": "60"}, TypeError),
        ({"user_id": "ada", "transport": "carrier pigeon"}, ValueError),
    ],
)
def test_wrong_arguments_of_a_sign_in_are_refused_before_anything_is_stored(within, sessions, arguments, error):
    def view(session):
        with pytest.raises(error):
            session.login(**arguments)

    within(view)
    assert within.response.status_code == 200
    assert sessions.count() == 0


def test_the_client_is_recorded_where_that_is_wanted(make_app, look):
    headers = {"User-Agent": "Safari"}
    visit(make_app(), "/login/ada", headers, "POST", client=("192.0.2.1", 5))
    visit(make_app(record_client=False), "/login/bob", headers, "POST", client=("192.0.2.1", 5))
    seen = {each.user_id: (each.ip, each.user_agent) for each in look().iter_sessions()}
    assert seen == {"ada": ("192.0.2.1", "Safari"), "bob": (None, None)}


def test_the_representation_of_a_session_shows_nothing_of_it(app, client):
    client.post("/set/secret/password")
    serves(app, lambda request: repr(request.session))
    assert client.get("/").text == "<StarletteSession open>"


def test_sessions_in_memory_work_alike(browse):
    app = site("memory://", namespace="in memory of starlette")
    client = browse(app)
    client.post("/set/a/b")
    client.post("/login/ada")
    assert (client.get("/me").json()["user"], client.get("/me").json()["data"]) == ("ada", {"a": "b"})
    token = client.post("/token/ada").json()["token"]
    assert client.get("/me", headers=bearer(token)).json()["user"] == "ada"
    assert client.base_url == SITE
