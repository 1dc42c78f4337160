"""Wherever Flask lets the session be used beyond a view: streams, copies, nested requests, tests."""

from __future__ import annotations

import asyncio
import threading

import pytest
from flask import (
    after_this_request,
    copy_current_request_context,
    flash,
    g,
    get_flashed_messages,
    render_template_string,
    session,
    stream_template_string,
    stream_with_context,
)
from site_kit import cookies_set, furnish, manager_of, send_token, token_of, visit

from redisess_core import StoreUnavailable
from redisess_flask import Redisess, current_session, login, logout

LATE = r"changed after its response began.*save\(\)"


# After the response began


def test_a_stream_reads_the_session_and_cannot_change_it(app, client):
    refused = []

    @app.get("/stream")
    def stream():
        def chunks():
            yield session["a"]
            for change in (lambda: session.update(b=1), lambda: login("ada"), logout, lambda: session.pop("a")):
                with pytest.raises(RuntimeError, match=LATE) as refusal:
                    change()
                refused.append(refusal.value)
            yield " end"

        return app.response_class(stream_with_context(chunks()))

    client.post("/set/a/streamed")
    assert client.get("/stream").text == "streamed end"
    assert len(refused) == 4
    assert client.get("/me").json["data"] == {"a": "streamed"}


def test_what_a_stream_writes_before_its_first_chunk_is_late_too_but_not_what_save_stored_before(app, client):
    @app.get("/stream")
    def stream():
        session["saved"] = 1
        current_session.save()

        def chunks():
            yield str(session["saved"])

        return app.response_class(stream_with_context(chunks()))

    response = client.get("/stream")
    assert len(cookies_set(response)) == 1
    assert response.text == "1"
    assert client.get("/me").json["data"] == {"saved": 1}


def test_a_streamed_template_reads_the_session(app, client):
    app.view_functions["index"] = lambda: stream_template_string("{{ session['a'] }}")
    client.post("/set/a/b")
    assert client.get("/").text == "b"


def test_a_mutation_in_place_after_the_response_began_is_not_stored(app, client):
    @app.get("/stream")
    def stream():
        def chunks():
            session["cart"].append(2)
            yield "x"

        return app.response_class(stream_with_context(chunks()))

    app.view_functions["index"] = lambda: session.update(cart=[1]) or ""
    client.get("/")
    assert client.get("/stream").text == "x"
    assert client.get("/me").json["data"] == {"cart": [1]}


@pytest.mark.parametrize("change", [lambda: session.update(b=1), lambda: flash("late"), logout])
def test_a_teardown_function_reads_the_session_and_cannot_change_it(app, client, change):
    seen = []

    @app.teardown_request
    def teardown(error):
        if session:
            seen.append(session["a"])
            with pytest.raises(RuntimeError, match=LATE):
                change()

    client.post("/set/a/1")
    seen.clear()
    client.get("/me")
    assert seen == ["1"]


def test_request_finished_is_after_the_end(app, client):
    from flask import request_finished

    def late(sender, **_):
        with pytest.raises(RuntimeError, match=LATE):
            session["b"] = 1

    with request_finished.connected_to(late, app):
        assert client.post("/set/a/1").status_code == 200


def test_after_this_request_is_before_the_end(app, client):
    @app.get("/count")
    def count():
        @after_this_request
        def remember(response):
            session["status"] = response.status_code
            return response

        return "", 201

    client.get("/count")
    assert client.get("/me").json["data"] == {"status": 201}


# Copies of a context


def in_thread(function):
    """Run *function* in a thread of its own; give what it returned or raised."""
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as error:  # noqa: BLE001  handed to the test
            result.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    return result[0]


def test_a_copied_context_reads_and_writes_the_requests_session(app, client):
    @app.get("/copy")
    def copy():
        @copy_current_request_context
        def work():
            session["worker"] = session["a"]
            return session["a"]

        return in_thread(work)

    client.post("/set/a/1")
    assert client.get("/copy").text == "1"
    assert client.get("/me").json["data"] == {"a": "1", "worker": "1"}


def test_a_copied_context_that_outlives_the_response_cannot_change_the_session(app, client):
    kept = []

    @app.get("/copy")
    def copy():
        @copy_current_request_context
        def work():
            before = session["a"]
            session["late"] = 1
            return before

        kept.append(work)
        return ""

    client.post("/set/a/1")
    client.get("/copy")
    found = in_thread(kept[0])
    assert isinstance(found, RuntimeError)
    assert "save()" in str(found)
    assert client.get("/me").json["data"] == {"a": "1"}


def in_the_same_thread(function):
    """Call *function*; give what it returned or raised."""
    try:
        return function()
    except LookupError as error:
        return error


def in_a_task(function):
    """Run *function* in a task of an event loop, in a copy of this thread's context."""

    async def main():
        return await asyncio.gather(asyncio.create_task(awaited()), return_exceptions=True)

    async def awaited():
        return function()

    return asyncio.run(main())[0]


@pytest.mark.parametrize("run", [in_thread, in_the_same_thread, in_a_task])
def test_a_copied_context_that_fails_does_not_end_the_request_it_was_copied_from(app, client, run):
    @app.get("/copy")
    def copy():
        logout()

        @copy_current_request_context
        def work():
            session["work"] = "begun"
            raise LookupError

        assert isinstance(run(work), LookupError)
        session["message"] = "still open"
        return ""

    client.post("/login/ada")
    assert client.get("/copy").status_code == 200
    assert client.get("/me").json["data"] == {"work": "begun", "message": "still open"}


def test_a_sign_out_of_a_request_that_fails_is_carried_out_where_a_copy_of_it_failed_before(make_app):
    app = make_app(TESTING=True)

    @app.get("/fail")
    def fail():
        @copy_current_request_context
        def work():
            raise LookupError

        in_the_same_thread(work)
        logout()
        raise LookupError

    client = app.test_client()
    client.post("/login/ada")
    with pytest.raises(LookupError):
        client.get("/fail")
    assert manager_of(app).count() == 0


def test_a_sign_out_of_a_request_that_fails_is_carried_out_below_a_context_of_the_app_that_was_there(make_app):
    app = make_app(TESTING=True)

    @app.get("/fail")
    def fail():
        logout()
        raise LookupError

    client = app.test_client()
    client.post("/login/ada")
    with app.app_context(), pytest.raises(LookupError):
        client.get("/fail")
    assert manager_of(app).count() == 0


def test_what_a_view_leaves_in_g_goes_with_the_request(app, client):
    import gc
    import weakref

    class Connection:
        pass

    left = []

    @app.get("/leave")
    def leave():
        session["a"] = 1
        g.connection = Connection()
        left.append(weakref.ref(g.connection))
        return ""

    gc.collect()
    gc.disable()
    try:
        client.get("/leave")
        assert left[0]() is None
    finally:
        gc.enable()


# Contexts of tests and scripts


def test_a_test_request_context_has_a_session_that_nobody_stores(app, sessions, wire):
    with wire() as seen, app.test_request_context("/"):
        session["a"] = 1
        login("ada")
        assert current_session.user_id == "ada"
    assert seen.names == []
    assert sessions.count() == 0


def test_a_test_request_context_reads_the_session_of_its_cookie(app, sessions):
    token = sessions.create("ada", data={"a": 1}).token
    with app.test_request_context("/", headers=send_token(token)):
        assert (current_session.user_id, session["a"]) == ("ada", 1)


def test_a_test_request_context_goes_through_the_whole_request_by_hand(app, sessions):
    with app.test_request_context("/"):
        assert app.preprocess_request() is None
        session["a"] = 1
        response = app.process_response(app.make_response("x"))
    (cookie,) = cookies_set(response)
    assert sessions.authenticate(cookie.value).data == {"a": 1}


def test_nested_requests_have_a_session_each(app, make_app, client):
    other = make_app(REDISESS_NAMESPACE="inner")

    @app.get("/outer")
    def outer():
        session["where"] = "outer"
        with app.test_request_context("/inner"):
            assert "where" not in session
            session["where"] = "inner"
        inner = visit(other, "/set/where/other", method="POST")
        assert len(cookies_set(inner)) == 1
        return session["where"]

    assert client.get("/outer").text == "outer"
    assert client.get("/me").json["data"] == {"where": "outer"}


def test_an_app_called_with_the_environ_of_another_does_not_take_its_session(app, make_app, client):
    inner = make_app(REDISESS_NAMESPACE="inner", SESSION_COOKIE_NAME="inner")

    @app.get("/through")
    def through():
        from flask import request

        session["outer"] = 1
        answer = app.response_class.from_app(inner.wsgi_app, {**request.environ, "PATH_INFO": "/me"})
        session["after"] = 2
        return answer.json

    @app.get("/through-same")
    def through_same():
        from flask import request

        session["outer"] = 1
        request.environ["PATH_INFO"] = "/me"
        answer = app.response_class.from_app(inner.wsgi_app, request.environ)
        session["after"] = 2
        return answer.json

    for path in ("/through", "/through-same"):
        client = app.test_client()
        assert client.get(path).json["data"] == {}
        assert client.get("/me").json["data"] == {"outer": 1, "after": 2}


def test_two_apps_below_one_server_keep_to_their_own_cookies(make_app):
    from werkzeug.middleware.dispatcher import DispatcherMiddleware
    from werkzeug.test import Client

    front = make_app(SESSION_COOKIE_NAME="front")
    back = make_app(SESSION_COOKIE_NAME="back", SESSION_COOKIE_PATH="/back", REDISESS_NAMESPACE="back")
    client = Client(DispatcherMiddleware(front, {"/back": back}))
    client.post("/login/ada")
    client.post("/back/login/bob")
    assert client.get("/me").json["user"] == "ada"
    assert client.get("/back/me").json["user"] == "bob"


def test_no_request_means_no_session(app):
    with app.app_context(), pytest.raises(RuntimeError, match="outside of request context"):
        _ = current_session.user_id


# The test client


def test_a_client_in_a_with_block_still_sees_the_session_of_its_last_request(app):
    with app.test_client() as client:
        client.post("/login/ada")
        assert current_session.user_id == "ada"
        client.post("/set/a/b")
        assert session["a"] == "b"
        with pytest.raises(RuntimeError, match=LATE):
            session["c"] = 1
    assert client.get("/me").json["data"] == {"a": "b"}


def test_session_transaction_begins_changes_and_ends_a_session(app, client, sessions):
    with client.session_transaction() as opened:
        assert opened.new
        opened["a"] = 1
    assert client.get("/me").json["data"] == {"a": 1}
    with client.session_transaction() as opened:
        assert opened["a"] == 1
        opened["list"] = [1]
        opened["list"].append(2)
    assert client.get("/me").json["data"] == {"a": 1, "list": [1, 2]}
    with client.session_transaction() as opened:
        opened.clear()
    assert token_of(client) is None
    assert sessions.count() == 0


def test_session_transaction_signs_in_and_makes_permanent(app, client):
    with client.session_transaction() as opened:
        opened.login("ada")
        opened.permanent = True
        assert opened.permanent
    assert client.get("/me").json["user"] == "ada"
    assert cookies_set(client.get("/"))[0].attributes["max-age"] == str(31 * 24 * 3600)
    with client.session_transaction() as opened:
        assert opened.user_id == "ada"
        opened.logout()
    assert client.get("/me").json["user"] is None


def test_session_transaction_makes_a_session_permanent_and_nothing_else(app, client):
    client.post("/set/a/1")
    with client.session_transaction() as opened:
        opened.permanent = True
    assert client.get("/me").json["data"] == {"a": "1", "_permanent": True}


def test_session_transaction_takes_the_arguments_of_a_request(app, client):
    with client.session_transaction("/", base_url="https://localhost") as opened:
        opened["a"] = 1
    assert client.get_cookie("session").secure


def test_session_transaction_raises_what_goes_wrong(make_app, start_server):
    server = start_server()
    app = make_app(REDISESS_URL=server.url, REDISESS_MAX_DATA_BYTES=50)
    client = app.test_client()
    with pytest.raises(TypeError, match="cannot store"), client.session_transaction() as opened:
        opened["a"] = object()
    from redisess_core import SessionDataTooLarge

    with pytest.raises(SessionDataTooLarge), client.session_transaction() as opened:
        opened["a"] = "x" * 100
    server.stop()
    with pytest.raises(StoreUnavailable), client.session_transaction() as opened:
        opened["a"] = 1


def test_a_session_transaction_that_raises_stores_nothing(client, sessions):
    def transact():
        with client.session_transaction() as opened:
            opened["a"] = 1
            raise LookupError

    with pytest.raises(LookupError):
        transact()
    assert sessions.count() == 0


# Templates, blueprints, dispatch


def test_a_template_shows_messages_and_the_session(app, client):
    page = "{{ session['name'] }}{% for message in get_flashed_messages() %} {{ message }}{% endfor %}"
    app.view_functions["index"] = lambda: render_template_string(page)
    with client.session_transaction() as opened:
        opened["name"] = "Ada"
        opened["_flashes"] = [("message", "<hi>")]
    assert client.get("/").text == "Ada &lt;hi&gt;"
    assert client.get("/").text == "Ada"


def test_a_template_finds_data_by_key_and_what_is_known_of_the_session_by_attribute(app, client):
    page = "{{ session['user_id'] }} {{ session.user_id }} {{ session.colour }}"
    app.view_functions["index"] = lambda: render_template_string(page)
    with client.session_transaction() as opened:
        opened.login("ada")
        opened.update(user_id="theirs", colour="red")
    assert client.get("/").text == "theirs ada red"


def test_a_page_that_is_not_found_may_use_the_session(app, client):
    @app.errorhandler(404)
    def missing(error):
        session["lost"] = session.get("lost", 0) + 1
        return {"lost": session["lost"], "messages": get_flashed_messages()}, 404

    assert [client.get("/nowhere").json["lost"] for _ in range(3)] == [1, 2, 3]


def test_a_redirect_for_a_missing_slash_leaves_the_session_alone(app, client):
    app.add_url_rule("/folder/", "folder", lambda: str(session.get("a")))
    client.post("/set/a/b")
    response = client.get("/folder")
    assert response.status_code == 308
    assert not cookies_set(response)
    assert client.get("/folder", follow_redirects=True).text == "b"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_open_and_keep_the_session(app, client, method):
    client.post("/set/a/b")
    response = client.open("/me", method=method)
    assert response.status_code == 200
    assert not cookies_set(response)
    assert client.get("/me").json["data"] == {"a": "b"}


def test_a_before_request_that_answers_by_itself_stores_what_it_wrote(app, client):
    @app.before_request
    def gate():
        if not session.get("accepted"):
            session["accepted"] = True
            return "accept our terms"
        return None

    assert client.get("/").text == "accept our terms"
    assert client.get("/").text == "hello"


def test_a_before_request_that_was_registered_before_redisess_finds_the_session_open(bare_app, redis_url, namespace):
    app = bare_app(REDISESS_URL=redis_url, REDISESS_NAMESPACE=namespace)
    users = []

    @app.before_request
    def who():
        users.append(current_session.user_id)

    Redisess(app)
    with manager_of(furnish(app)):
        client = app.test_client()
        client.post("/login/ada")
        client.get("/me")
    assert users == [None, "ada"]


def test_a_request_without_a_user_agent_has_a_session(app):
    response = visit(app, "/login/ada", method="POST", environ_overrides={"HTTP_USER_AGENT": ""})
    assert len(cookies_set(response)) == 1
