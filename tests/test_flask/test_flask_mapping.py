from __future__ import annotations

from collections import OrderedDict
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from flask import flash, get_flashed_messages, render_template_string, session
from markupsafe import Markup
from site_kit import cookies_set, furnish, manager_of, token_of, visit

TYPED = {
    "nothing": None,
    "flag": True,
    "count": 3,
    "huge": 2**200,
    "ratio": 0.1,
    "infinite": float("-inf"),
    "text": "käse 🧀 \u0000 \ud83d",
    "bytes": b"\xff\x00",
    "naive": datetime(2026, 11, 24, 1, 2, 3, 4),  # noqa: DTZ001  a naive one, too
    "aware": datetime(2026, 11, 24, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    "zoned": datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    "date": date(2026, 11, 24),
    "time": time(1, 2, 3, tzinfo=UTC),
    "span": timedelta(days=-1, microseconds=1),
    "price": Decimal("1.10"),
    "uuid": UUID(int=7),
    "list": [1, [2, (3,)]],
    "tuple": (1, (2, [3])),
    "set": {1, "a", (2,)},
    "frozenset": frozenset({1}),
    "dict": {"a": {1: "int key"}, " t": "not a tuple"},
    "markup": Markup("<b>bold</b>"),
    "nested markup": [Markup("<i>"), {"x": (Markup("<u>"),)}],
}


@pytest.fixture
def within(app, client):
    """Run a function in a view of `app`, for one browser: `within(lambda: session.pop("a"))`; gives what it gives."""

    def run(function, **options):
        results, failures = [], []

        def view():
            try:
                results.append(function())
            except AssertionError as error:
                failures.append(error)
            return "done"

        app.view_functions["index"] = view
        run.response = client.get("/", **options)
        for failure in failures:
            raise failure
        return results[0] if results else None

    return run


# A mapping


def test_values_come_back_in_the_next_request(within):
    within(lambda: session.update(a=1, b="two"))
    assert within(lambda: dict(session)) == {"a": 1, "b": "two"}
    assert within(lambda: session["b"]) == "two"


def test_a_missing_key_is_a_key_error_and_get_gives_its_default(within):
    def view():
        with pytest.raises(KeyError, match="missing"):
            _ = session["missing"]
        with pytest.raises(KeyError, match="missing"):
            del session["missing"]
        with pytest.raises(KeyError, match="missing"):
            session.pop("missing")
        return session.get("missing"), session.get("missing", 5), session.pop("missing", 6)

    assert within(view) == (None, 5, 6)
    assert within(view) == (None, 5, 6)


def test_deleted_and_popped_keys_stay_away(within):
    within(lambda: session.update(a=1, b=2, c=3))
    assert within(lambda: session.pop("a")) == 1
    within(lambda: session.__delitem__("b"))
    assert within(lambda: dict(session)) == {"c": 3}


def test_a_key_that_is_deleted_and_set_again_has_its_new_value(within):
    within(lambda: session.update(a=1, b=2))

    def view():
        del session["a"]
        assert "a" not in session
        session["a"] = 5
        session["b"] = 6
        del session["b"]
        return dict(session)

    assert within(view) == {"a": 5}
    assert within(lambda: dict(session)) == {"a": 5}


def test_setdefault_gives_the_value_that_is_stored_and_it_can_be_changed(within):
    assert within(lambda: session.setdefault("cart", []).append("tea")) is None
    within(lambda: session.setdefault("cart", ["other"]).append("milk"))
    assert within(lambda: session["cart"]) == ["tea", "milk"]


def test_popitem_takes_one_pair_until_none_is_left(within):
    within(lambda: session.update(a=1, b=2))

    def take():
        return session.popitem()

    assert sorted([within(take), within(take)]) == [("a", 1), ("b", 2)]

    def view():
        with pytest.raises(KeyError):
            session.popitem()

    within(view)
    assert within.response.status_code == 200


def test_iteration_length_and_membership_follow_every_change(within):
    within(lambda: session.update(a=1, b=2))

    def view():
        del session["a"]
        session["c"] = 3
        session["b"] = 4
        return list(session), len(session), "a" in session, "c" in session, list(session.items())

    assert within(view) == (["b", "c"], 2, False, True, [("b", 4), ("c", 3)])
    assert sorted(within(lambda: list(session.keys()))) == ["b", "c"]


def test_an_empty_session_is_false_and_equals_an_empty_dict(within):
    assert within(lambda: (bool(session), session == {}, len(session))) == (False, True, 0)
    within(lambda: session.update(a=1))
    assert within(lambda: (bool(session), session == {"a": 1}, len(session))) == (True, True, 1)


def test_what_is_no_key_is_not_in_the_session(within):
    within(lambda: session.update(a=1))
    assert within(lambda: (None in session, 5 in session, ("a",) in session, session.get(None))) == (
        False,
        False,
        False,
        None,
    )


@pytest.mark.parametrize("key", [5, None, b"a", ("a",)])
def test_a_key_that_is_no_text_is_refused_at_the_assignment(within, key):
    def view():
        with pytest.raises(TypeError, match="a str wanted"):
            session[key] = 1

    within(view)
    assert within.response.status_code == 200
    assert within(lambda: dict(session)) == {}


@pytest.mark.parametrize("key", ["", "x" * 257, "\ud83d"])
def test_a_key_that_redis_could_not_keep_is_refused_at_the_assignment(within, key):
    def view():
        with pytest.raises(ValueError, match="key of session data"):
            session[key] = 1

    within(view)
    assert within.response.status_code == 200


def test_keys_that_look_like_ours_are_the_applications_own(within):
    own = {"d:a": 1, "u": "mallory", "s": "x", "now": 2, "f:name": 3, "user_id": 4, "token": "t", "_permanent_": 5}
    within(lambda: session.update(own))
    assert within(lambda: dict(session)) == own
    assert within(lambda: session.user_id) is None


def test_a_template_reads_the_session_by_item(within):
    within(lambda: session.update(name="Ada", user_id=7))
    page = "{{ session['name'] }} {{ session.get('user_id') }} {{ 'x' in session }}"
    assert within(lambda: render_template_string(page)) == "Ada 7 False"


# Values


@pytest.mark.parametrize("key", TYPED)
def test_a_value_comes_back_with_its_type(within, key):
    within(lambda: session.__setitem__(key, TYPED[key]))
    found = within(lambda: session[key])
    assert _shape(found) == _shape(TYPED[key])


def _shape(value):
    if isinstance(value, (list, tuple)):
        return type(value), [_shape(item) for item in value]
    if isinstance(value, dict):
        return type(value), [(_shape(key), _shape(item)) for key, item in value.items()]
    return type(value), value, getattr(value, "tzinfo", None) and value.utcoffset()


def test_markup_stays_safe_in_a_template_and_text_stays_escaped(within):
    within(lambda: session.update(safe=Markup("<b>"), unsafe="<b>"))
    assert within(lambda: render_template_string("{{ session['safe'] }} {{ session['unsafe'] }}")) == "<b> &lt;b&gt;"


def test_a_subclass_comes_back_as_its_base(within):
    class Text(str):
        __slots__ = ()

    within(lambda: session.update(text=Text("a"), ordered=OrderedDict(a=1)))
    assert within(lambda: (type(session["text"]), type(session["ordered"]))) == (str, dict)


def test_a_list_or_dict_that_is_changed_in_place_is_noticed(within):
    within(lambda: session.update(cart=[1], user={"tags": set(), "deep": {"list": []}}))
    within(lambda: session["cart"].append(2))
    within(lambda: session["user"]["deep"]["list"].append("x"))
    within(lambda: session["user"]["tags"].add("y"))
    assert within(lambda: dict(session)) == {"cart": [1, 2], "user": {"tags": {"y"}, "deep": {"list": ["x"]}}}


def test_a_value_is_stored_as_it_is_at_the_end_of_the_request(within):
    def view():
        cart = session["cart"] = []
        cart.append(1)

    within(view)
    assert within(lambda: session["cart"]) == [1]


def test_reading_mutable_values_writes_nothing(within, wire):
    within(lambda: session.update(cart=[1], user={"a": {1, 2, 3}}))
    within(lambda: None)
    with wire() as seen:
        within(lambda: (session["cart"], session["user"], dict(session)))
    assert seen.names == ["EVALSHA"]
    assert not cookies_set(within.response)


def test_assigning_what_is_stored_already_writes_nothing(within, wire):
    within(lambda: session.update(a=1, cart=[1]))
    with wire() as seen:
        within(lambda: session.update(a=1, cart=[1]))
    assert seen.names == ["EVALSHA"]


def test_true_is_not_taken_for_the_one_that_is_stored(within):
    within(lambda: session.update(flag=1))
    within(lambda: session.update(flag=True))
    assert within(lambda: session["flag"]) is True


@pytest.mark.parametrize("value", [object(), lambda: None, SimpleNamespace(), [{"deep": object()}], {1: object()}])
def test_a_value_that_cannot_be_stored_is_refused_at_the_assignment(within, value):
    def view():
        session["before"] = 1
        with pytest.raises(TypeError, match="session data 'wrong': cannot store a value of type"):
            session["wrong"] = value
        assert "wrong" not in session

    within(view)
    assert within(lambda: dict(session)) == {"before": 1}


def test_a_value_made_unstorable_in_place_fails_the_request_and_stores_nothing(within, sessions):
    within(lambda: session.update(cart=[1], other="old"))

    def view():
        session["other"] = "new"
        session["cart"].append(object())

    within(view)
    assert within.response.status_code == 500
    assert not cookies_set(within.response)
    assert within(lambda: dict(session)) == {"cart": [1], "other": "old"}


def test_a_value_that_contains_itself_is_refused_at_the_assignment(within):
    def view():
        loop = []
        loop.append(loop)
        with pytest.raises(ValueError, match="contains itself"):
            session["loop"] = loop

    within(view)
    assert within.response.status_code == 200


def test_oversized_data_fails_the_request_and_stores_nothing(make_app, caplog):
    app = make_app(REDISESS_MAX_DATA_BYTES=100)
    client = app.test_client()
    client.post("/set/small/fits")
    response = client.post(f"/set/big/{'x' * 200}")
    assert response.status_code == 500
    assert not cookies_set(response)
    assert "max_data_bytes allows 100" in caplog.text
    assert "xxxx" not in caplog.text.replace(f"/set/big/{'x' * 200}", "")
    assert client.get("/me").json["data"] == {"small": "fits"}


def test_a_stored_value_that_cannot_be_decoded_is_an_error_never_another_value(within, client, redis_client, sessions):
    within(lambda: session.update(a=1, b=2))
    (key,) = [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"]
    redis_client.hset(key, "d:a", b'{"~b":5}')
    assert within(lambda: session["b"]) == 2
    within(lambda: session["a"])
    assert within.response.status_code == 500


# What Flask adds


def test_flash_messages_are_shown_once(within):
    within(lambda: (flash("one"), flash("two", "error"), flash(Markup("<b>three</b>"))))
    shown = within(lambda: get_flashed_messages(with_categories=True))
    assert shown == [("message", "one"), ("error", "two"), ("message", Markup("<b>three</b>"))]
    assert isinstance(shown[2][1], Markup)
    assert within(get_flashed_messages) == []


def test_flash_messages_of_two_requests_add_up(within):
    within(lambda: flash("one"))
    within(lambda: flash("two"))
    assert within(get_flashed_messages) == ["one", "two"]


def test_a_visitor_who_saw_the_last_message_leaves_no_session_behind(within, sessions, client):
    within(lambda: flash("hello"))
    assert sessions.count() == 1
    within(get_flashed_messages)
    assert sessions.count() == 0
    assert cookies_set(within.response)[0].removes
    assert token_of(client) is None


def test_new_modified_and_accessed_say_what_happened(within):
    assert within(lambda: (session.new, session.modified)) == (True, False)
    assert within(lambda: (session.update(cart=[]), session.modified, session.new)) == (None, True, True)
    assert within(lambda: (session.new, session.modified)) == (False, False)
    assert within(lambda: (session["cart"], session.modified)) == ([], False)
    assert within(lambda: (session["cart"].append(1), session.modified)) == (None, True)
    assert within(lambda: (session["cart"], session.accessed)) == ([1], True)


def test_setting_modified_does_no_harm(within):
    within(lambda: session.update(cart=[]))

    def view():
        session["cart"].append(1)
        session.modified = True
        return session.modified

    assert within(view) is True
    assert within(lambda: session["cart"]) == [1]


def test_what_a_request_knows_of_its_session(within, clock, sessions):
    assert within(
        lambda: (
            session.session_id,
            session.token,
            session.user_id,
            session.created,
            session.authenticated_at,
            session.last_access,
            session.expires_in,
            session.idle,
        )
    ) == (None, None, None, None, None, None, None, 0)
    within(lambda: session.login("ada"))
    signed_in = clock()
    clock.advance(100)
    found = within(lambda: (session.user_id, session.created, session.authenticated_at, session.last_access))
    assert found == ("ada", signed_in, signed_in, clock())
    assert within(lambda: session.idle) == 0
    assert within(lambda: session.expires_in) == 1800


def test_additional_fields_are_read_and_set_by_a_sign_in(make_app):
    app = make_app(REDISESS_ADDITIONAL_FIELDS=("name", "level"))

    @app.post("/enter")
    def enter():
        session.login("ada", name="Ada", level=3)
        return session.fields

    client = app.test_client()

    @app.get("/fields")
    def fields():
        return session.fields

    assert client.get("/fields").json == {"name": None, "level": None}
    assert client.post("/enter").json == {"name": "Ada", "level": 3}
    assert client.get("/fields").json == {"name": "Ada", "level": 3}
    (listed,) = manager_of(app).list_user_sessions("ada")
    assert (listed.name, listed.level) == ("Ada", 3)


def test_an_undeclared_field_of_a_sign_in_is_refused_and_nothing_is_stored(within, sessions):
    def view():
        with pytest.raises(TypeError, match="'colour' is neither an argument nor one of additional_fields"):
            session.login("ada", colour="red")

    within(view)
    assert sessions.count() == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"user_id": ""}, ValueError),
        ({"user_id": None}, TypeError),
        ({"user_id": True}, TypeError),
        ({"user_id": "x" * 257}, ValueError),
        ({"user_id": "ada", "ttl": -1}, ValueError),
        ({"user_id": "ada", "ttl": "60"}, TypeError),
        ({"user_id": "ada", "transport": "url"}, ValueError),
    ],
)
def test_wrong_arguments_of_a_sign_in_are_refused_before_anything_is_stored(within, sessions, arguments, error):
    def view():
        with pytest.raises(error):
            session.login(**arguments)
        return session.user_id

    assert within(view) is None
    assert sessions.count() == 0


def test_the_representation_of_a_session_shows_nothing_of_it(within, client):
    within(lambda: session.update(secret="s3cret"))
    shown = within(lambda: repr(session) + str(session._get_current_object()))
    assert "s3cret" not in shown
    assert token_of(client) not in shown


def test_the_client_is_recorded_without_a_user_agent_and_with_a_long_one(make_app):
    app = make_app()
    visit(app, "/login/ada", method="POST", environ_overrides={"HTTP_USER_AGENT": "x" * 999, "REMOTE_ADDR": "::1"})
    visit(app, "/login/bob", method="POST", environ_overrides={"HTTP_USER_AGENT": "", "REMOTE_ADDR": ""})
    visit(app, "/login/eve", method="POST", environ_overrides={"HTTP_USER_AGENT": "ké\xff"})
    (ada,), (bob,), (eve,) = (manager_of(app).list_user_sessions(user) for user in ("ada", "bob", "eve"))
    assert (ada.ip, ada.user_agent) == ("::1", "x" * 256)
    assert (bob.ip, bob.user_agent) == (None, None)
    assert eve.user_agent == "ké\xff"


def test_the_address_behind_a_proxy_is_the_one_that_flask_trusts(make_app):
    from werkzeug.middleware.proxy_fix import ProxyFix

    app = make_app()
    forwarded = {"X-Forwarded-For": "203.0.113.9"}
    visit(app, "/login/ada", forwarded, "POST")
    app.wsgi_app = ProxyFix(app.wsgi_app)
    visit(app, "/login/bob", forwarded, "POST")
    (ada,), (bob,) = (manager_of(app).list_user_sessions(user) for user in ("ada", "bob"))
    assert (ada.ip, bob.ip) == ("127.0.0.1", "203.0.113.9")


def test_an_app_that_records_no_clients_stores_none(make_app):
    app = make_app(REDISESS_RECORD_CLIENT=False)
    app.test_client().post("/login/ada")
    (listed,) = manager_of(app).list_user_sessions("ada")
    assert (listed.ip, listed.user_agent) == (None, None)


def test_sessions_in_memory_work_alike(bare_app, redis_url, namespace):
    from redisess_flask import Redisess

    app = bare_app(REDISESS_URL="memory://", REDISESS_NAMESPACE=namespace)
    Redisess(app)
    client = furnish(app).test_client()
    client.post("/set/colour/red")
    client.post("/login/ada")
    assert client.get("/me").json["data"] == {"colour": "red"}
    client.post("/logout")
    assert client.get("/me").json == {"user": None, "id": None, "data": {}}
