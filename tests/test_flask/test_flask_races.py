from __future__ import annotations

import http.client
import logging
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import session
from site_kit import cookies_set, kill_current, manager_of, send_token, visit
from werkzeug.serving import make_server

from redisess_core.tokens import session_id_of
from redisess_flask import current_session, end_session, login, logout, logout_others, manager, sessions

SECONDS = 20


class Meeting:
    """Lets a test act while a view waits: the view calls `reach()`, the test `reached()` and `go_on()`."""

    def __init__(self):
        self._here, self._on = threading.Event(), threading.Event()

    def reach(self):
        self._here.set()
        assert self._on.wait(SECONDS)

    def reached(self):
        assert self._here.wait(SECONDS)

    def go_on(self):
        self._on.set()


@pytest.fixture
def pool():
    with ThreadPoolExecutor(20) as threads:
        yield threads


@pytest.fixture
def slow(app, pool):
    """Visit a page that does *action* after *meanwhile* was done in another request: `slow(action, meanwhile)`."""

    def run(action, meanwhile, token, before=lambda: None):
        meeting = Meeting()

        def view():
            before()
            meeting.reach()
            action()
            return "as the view made it"

        app.view_functions["index"] = view
        answer = pool.submit(visit, app, "/", send_token(token))
        meeting.reached()
        meanwhile()
        meeting.go_on()
        return answer.result(SECONDS)

    return run


def nothing():
    pass


# A session that dies while its request runs

CHANGES = {
    "write": lambda: session.update(late=1),
    "mutation": lambda: session["list"].append(1),
    "deletion": lambda: session.pop("a"),
    "sign-in": lambda: login("lovelace"),
    "another sign-in": lambda: login("bob"),
    "rotation": lambda: current_session.rotate(),  # noqa: PLW0108  a proxy, read in the request
    "sign-out": logout,
    "permanent": lambda: setattr(session, "permanent", True),
    "clear and write": lambda: (session.clear(), session.update(late=1)),
}


@pytest.fixture
def token(sessions):
    """The token of a signed-in session."""
    return sessions.create("lovelace", data={"a": 1, "list": []}).token


ENDS = ["killed", "signed out", "expired", "rotated"]


@pytest.fixture
def elsewhere(app, sessions, clock, told):
    """End a token's session as another request, process or time itself does: `elsewhere("killed", token)`."""
    ends = {
        "killed": lambda token: sessions.kill_user("lovelace"),
        "signed out": lambda token: visit(app, "/logout", send_token(token), "POST"),
        "expired": lambda token: clock.advance(1800),
        "rotated": lambda token: visit(app, "/login/lovelace", send_token(token), "POST"),
    }

    def end(how, token):
        ends[how](token)
        told.clear()

    return end


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("end", ENDS)
def test_what_a_request_changes_of_a_session_that_died_meanwhile_is_dropped(
    slow, elsewhere, sessions, token, end, change
):
    response = slow(CHANGES[change], lambda: elsewhere(end, token), token)
    assert (response.status_code, response.text) == (200, "as the view made it")
    assert not cookies_set(response)
    assert "Cache-Control" not in response.headers
    assert sessions.authenticate(token) is None
    assert sessions.count() == (1 if end == "rotated" else 0)
    for alive in sessions.get_all_sessions():
        assert dict(sessions.get(alive).data) == {"a": 1, "list": []}


@pytest.mark.parametrize("end", ENDS)
def test_a_death_meanwhile_is_warned_of_by_its_handle_and_told_by_a_signal(slow, elsewhere, token, end, caplog, told):
    with caplog.at_level(logging.WARNING, "redisess"):
        slow(lambda: session.update(late=1), lambda: elsewhere(end, token), token)
    handle = session_id_of(token)
    assert [(name, said["session_id"]) for name, said in told] == [("session_interrupted", handle)]
    (warning,) = [record.getMessage() for record in caplog.records if record.name == "redisess"]
    assert handle in warning
    assert "lovelace" not in warning
    assert token not in caplog.text


@pytest.mark.parametrize("end", ENDS)
def test_a_request_that_only_read_a_session_that_died_meanwhile_writes_nothing(slow, elsewhere, sessions, token, end):
    response = slow(lambda: session["a"], lambda: elsewhere(end, token), token)
    assert response.text == "as the view made it"
    assert not cookies_set(response)
    assert sessions.authenticate(token) is None


@pytest.mark.parametrize("end", ENDS)
def test_a_rolling_cookie_does_not_replace_the_one_that_another_tab_was_given(slow, elsewhere, sessions, end):
    token = sessions.create("lovelace", data={"_permanent": True}).token
    response = slow(nothing, lambda: elsewhere(end, token), token)
    assert response.text == "as the view made it"
    assert not cookies_set(response)


def test_a_rolling_cookie_is_sent_while_the_session_lives(slow, app, sessions):
    token = sessions.create("ada", data={"_permanent": True}).token
    (cookie,) = cookies_set(slow(nothing, lambda: visit(app, "/me", send_token(token)), token))
    assert cookie.value == token


def test_a_cookie_that_cannot_be_rolled_because_redis_went_away_spoils_no_answer(make_app, start_server):
    server = start_server()
    app = make_app(REDISESS_URL=server.url)

    @app.get("/read")
    def read():
        server.stop()
        return session["a"]

    token = manager_of(app).create("ada", data={"_permanent": True, "a": "x"}).token
    response = visit(app, "/read", send_token(token))
    assert (response.status_code, response.text) == (200, "x")
    assert not cookies_set(response)


def test_a_request_that_began_with_a_dead_token_and_writes_gets_a_fresh_session(app, sessions, token):
    sessions.kill_user("lovelace")
    (cookie,) = cookies_set(visit(app, "/set/a/b", send_token(token), "POST"))
    assert cookie.value != token
    assert sessions.authenticate(cookie.value).user_id is None


def test_a_sign_in_that_began_with_a_dead_token_works(app, sessions, token):
    sessions.kill_user("lovelace")
    (cookie,) = cookies_set(visit(app, "/login/ada", send_token(token), "POST"))
    assert sessions.authenticate(cookie.value).user_id == "ada"


def test_a_session_killed_by_its_own_view_through_the_manager_counts_as_killed_by_others(app, client, told):
    @app.post("/kill")
    def kill():
        kill_current()
        session["late"] = 1
        return "done"

    client.post("/login/ada")
    response = client.post("/kill")
    assert response.text == "done"
    assert not cookies_set(response)
    assert told[-1][0] == "session_interrupted"


@pytest.mark.parametrize("helper", [logout_others, sessions, lambda: end_session("saa" + "0" * 25)])
def test_a_helper_with_something_to_store_first_says_that_the_session_is_gone(app, client, helper):
    from redisess_core import SessionGone

    @app.post("/late")
    def late():
        kill_current()
        session["late"] = 1
        with pytest.raises(SessionGone):
            helper()
        return "noticed"

    client.post("/login/ada")
    response = client.post("/late")
    assert response.text == "noticed"
    assert not cookies_set(response)
    assert manager_of(app).count() == 0


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("helper", ["logout_others", "logout_everywhere", "end_session"])
def test_a_session_that_died_meanwhile_ends_no_other_and_no_cookie(slow, app, elsewhere, sessions, token, end, helper):
    def living():
        return sessions.get_user_sessions("lovelace")

    before = []

    def meanwhile():
        elsewhere(end, token)
        sessions.create("lovelace")
        before.extend(living())

    actions = {
        "logout_others": logout_others,
        "logout_everywhere": lambda: current_session.logout_everywhere(),  # noqa: PLW0108  a proxy, read in the request
        "end_session": lambda: end_session(before[0]),
    }
    response = slow(actions[helper], meanwhile, token)
    assert response.status_code == 401
    assert not cookies_set(response)
    assert living() == before


def test_a_late_request_after_logout_revives_nothing_whatever_it_does(slow, app, sessions, redis_client):
    for change in [nothing, *CHANGES.values()]:
        token = sessions.create("ada", data={"a": 1, "list": []}).token
        slow(change, lambda token=token: visit(app, "/logout", send_token(token), "POST"), token)
        assert sessions.authenticate(token) is None
    assert sessions.count() == 0
    assert [key for key in redis_client.scan_iter() if redis_client.type(key) == b"hash"] == []


# Requests side by side


def test_requests_that_change_different_keys_of_one_session_all_win(app, sessions, pool):
    token = sessions.create("ada").token
    paths = [f"/set/key{n}/{n}" for n in range(100)]
    answers = list(pool.map(lambda path: visit(app, path, send_token(token), "POST"), paths))
    assert {answer.status_code for answer in answers} == {200}
    assert dict(sessions.authenticate(token).data) == {f"key{n}": str(n) for n in range(100)}


def test_a_request_that_deletes_and_one_that_writes_do_not_undo_each_other(slow, app, sessions):
    token = sessions.create("ada", data={"a": 1, "b": 1}).token
    slow(lambda: session.pop("a"), lambda: visit(app, "/set/b/2", send_token(token), "POST"), token)
    assert dict(sessions.authenticate(token).data) == {"b": "2"}


def test_of_two_writes_to_one_key_the_later_response_wins(slow, app, sessions):
    token = sessions.create("ada").token
    slow(lambda: session.update(a="slow"), lambda: visit(app, "/set/a/quick", send_token(token), "POST"), token)
    assert sessions.authenticate(token).data["a"] == "slow"


def test_of_many_sign_ins_over_one_session_one_wins_and_the_others_are_dropped(app, sessions, pool):
    token = sessions.create(None, data={"cart": "tea"}).token
    start = threading.Barrier(8)

    def view():
        start.wait(SECONDS)
        login("ada")
        return ""

    app.view_functions["index"] = view
    answers = list(pool.map(lambda _: visit(app, "/", send_token(token)), range(8)))
    given = [cookie.value for answer in answers for cookie in cookies_set(answer)]
    assert len(given) == 1
    assert sessions.count() == 1
    assert sessions.authenticate(given[0]).data == {"cart": "tea"}


def test_a_limit_holds_under_many_sign_ins_at_once(make_app, pool):
    app = make_app(REDISESS_MAX_SESSIONS_PER_USER=3, REDISESS_ON_LIMIT="refuse")
    answers = list(pool.map(lambda _: visit(app, "/login/ada", method="POST").status_code, range(20)))
    assert sorted(answers) == [200] * 3 + [403] * 17
    assert manager_of(app).count_for_user("ada") == 3


def test_a_sign_out_everywhere_and_a_request_of_another_device_at_once(slow, app, sessions):
    here, there = sessions.create("ada").token, sessions.create("ada").token

    def everywhere():
        app.view_functions["me"] = lambda: str(current_session.logout_everywhere())
        assert visit(app, "/me", send_token(here)).text == "2"

    assert not cookies_set(slow(lambda: session.update(late=1), everywhere, there))
    assert sessions.count() == 0


def test_a_threaded_server_keeps_every_write_and_every_user_apart(app, pool):
    server = make_server("127.0.0.1", 0, app, threaded=True)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = threading.Thread(target=server.serve_forever)
    running.start()

    def ask(method, path, token=None):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=SECONDS)
        try:
            connection.request(method, path, headers=send_token(token) if token else {})
            answer = connection.getresponse()
            return answer.status, answer.getheader("Set-Cookie"), answer.read().decode()
        finally:
            connection.close()

    try:
        users = [f"user{n}" for n in range(5)]
        tokens = {user: ask("POST", f"/login/{user}")[1].partition("=")[2].partition(";")[0] for user in users}
        writes = [(user, f"/set/{user}-{n}/{n}") for n in range(20) for user in users]
        answers = list(pool.map(lambda write: ask("POST", write[1], tokens[write[0]]), writes))
        assert {(status, cookie) for status, cookie, _ in answers} == {(200, None)}
        for user in users:
            stored = manager_of(app).authenticate(tokens[user])
            assert stored.user_id == user
            assert dict(stored.data) == {f"{user}-{n}": str(n) for n in range(20)}
    finally:
        server.shutdown()
        running.join(SECONDS)
        server.server_close()


def test_the_first_requests_of_a_process_may_come_all_at_once(make_app, pool):
    token = manager_of(make_app()).create("ada").token
    app = make_app()
    answers = list(pool.map(lambda _: visit(app, "/me", send_token(token)).json["user"], range(20)))
    assert answers == ["ada"] * 20


FORKING = """
import os, sys
from flask import Flask, session
from redisess_flask import Redisess

app = Flask("site")
app.config.update(REDISESS_URL=sys.argv[1], REDISESS_NAMESPACE=sys.argv[2])
Redisess(app)
app.add_url_rule("/<key>", view_func=lambda key: session.update({key: 1}) or "", endpoint="put")
client = app.test_client()
client.get("/before")
child = os.fork()
for n in range(20):
    assert client.get(f"/{'parent' if child else 'child'}{n}").status_code == 200
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(client.get_cookie("session").value)
"""


def test_an_app_that_was_used_before_a_fork_serves_both_processes(make_app, redis_url, namespace):
    run = subprocess.run(
        [sys.executable, "-c", FORKING, redis_url, namespace], capture_output=True, text=True, check=True
    )
    stored = manager_of(make_app()).authenticate(run.stdout.strip()).data
    assert set(stored) == {"before", *(f"{who}{n}" for who in ("parent", "child") for n in range(20))}


def test_a_request_in_the_middle_of_kill_all_ends_signed_out(slow, app, sessions, token):
    slow(lambda: session.update(late=1), lambda: manager_of(app).kill_all(), token)
    assert sessions.count() == 0
    assert manager_of(app) is sessions
    with app.app_context():
        assert manager() is sessions
