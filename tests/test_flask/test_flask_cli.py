from __future__ import annotations

import re

import pytest
from site_kit import manager_of, visit

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def flask(app):
    """Run `flask sessions ...` on `app`: `flask("list", "ada")`."""
    return lambda *words, on=app: on.test_cli_runner().invoke(args=["sessions", *words])


@pytest.fixture
def three(sessions, clock):
    """Two sessions of ada, the second idle for 100 seconds less, and one of nobody."""
    first = sessions.create("ada", ip="192.0.2.1", user_agent="Firefox")
    clock.advance(100)
    second = sessions.create("ada")
    return first.session_id, second.session_id, sessions.create(None).session_id


def test_list_shows_every_session_with_its_user_idle_time_and_client(flask, three):
    first, second, anonymous = three
    result = flask("list")
    assert result.exit_code == 0
    assert sorted(result.output.splitlines()) == sorted(
        [
            f"{first}  ada  100s  192.0.2.1  Firefox",
            f"{second}  ada  0s  -  -",
            f"{anonymous}  -  0s  -  -",
        ]
    )


def test_list_shows_one_users_sessions_most_recent_first(flask, three, sessions):
    sessions.create("bob")
    lines = flask("list", "ada").output.splitlines()
    assert [line.split()[0] for line in lines] == [three[1], three[0]]
    assert flask("list", "nobody").output == ""


def test_active_narrows_every_look_to_the_last_seconds(flask, three):
    assert len(flask("list", "--active", "50").output.splitlines()) == 2
    assert len(flask("list", "ada", "--active", "50").output.splitlines()) == 1
    assert flask("count", "--active", "50").output == "2 sessions, 1 user\n"
    assert flask("users", "--active", "50").output == "ada\n"


def test_looking_touches_nothing(flask, three, sessions):
    for words in (["list"], ["list", "ada"], ["users"], ["count"]):
        flask(*words)
    assert sessions.get(three[0], touch=False).idle == 100


def test_users_are_listed_most_recently_active_first(flask, sessions, clock):
    for user in ("ada", "bob", "eve"):
        sessions.create(user)
        clock.advance(1)
    sessions.create("ada")
    assert flask("users").output.split() == ["ada", "eve", "bob"]


def test_count_says_how_many_sessions_and_users(flask, three):
    assert flask("count").output == "3 sessions, 1 user\n"


def test_kill_ends_one_session(flask, three, sessions):
    result = flask("kill", three[0])
    assert (result.exit_code, result.output) == (0, f"ended {three[0]}\n")
    assert not sessions.exists(three[0])
    assert sessions.count() == 2


def test_kill_user_ends_all_of_one_users(flask, three, sessions):
    assert flask("kill-user", "ada").output == "ended 2 sessions\n"
    assert sessions.count() == 1
    sessions.create("bob")
    assert flask("kill-user", "bob").output == "ended 1 session\n"
    assert flask("kill-user", "ada").output == "ended 0 sessions\n"


def test_wipe_removes_what_is_left_of_expired_sessions(flask, three, clock):
    clock.advance(3600)
    assert flask("wipe").output == "removed 3 expired sessions\n"
    assert flask("wipe").output == "removed 0 expired sessions\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kill", "saa" + "0" * 25], "no live session of that id"),
        (["kill", "what"], "no live session of that id"),
        (["kill", ""], "an empty str given"),
        (["kill-user", ""], "user_id"),
        (["kill-user", "x" * 257], "user_id"),
        (["list", "x" * 257], "user_id"),
        (["list", "--active", "nan"], "secs"),
    ],
)
def test_bad_input_is_said_in_one_line_and_fails(flask, words, said):
    result = flask(*words)
    assert result.exit_code == 1
    assert re.fullmatch(rf"Error: .*{re.escape(said)}.*\n", result.output)


@pytest.mark.parametrize(
    "words", [["kill"], ["kill-user"], ["list", "--active", "-1"], ["count", "--active", "soon"], ["dance"]]
)
def test_wrong_words_are_answered_with_the_usage(flask, words):
    result = flask(*words)
    assert result.exit_code == 2
    assert "Usage: " in result.output


def test_a_token_given_by_mistake_kills_nothing(flask, sessions):
    token = sessions.create("ada").token
    assert flask("kill", token).exit_code == 1
    assert sessions.count() == 1


@pytest.mark.parametrize(
    "words", [["list"], ["list", "ada"], ["users"], ["count"], ["kill", "saa" + "0" * 25], ["wipe"]]
)
def test_redis_away_is_said_in_one_line_and_fails(flask, make_app, words):
    result = flask(*words, on=make_app(REDISESS_URL=AWAY))
    assert result.exit_code == 1
    assert re.fullmatch(r"Error: Redis cannot be used now: .*\n", result.output)


def test_without_a_word_the_verbs_are_listed(flask):
    output = flask("--help").output
    for verb in ("list", "users", "count", "kill", "kill-user", "wipe"):
        assert re.search(rf"^  {verb} +\S", output, re.MULTILINE)


def test_what_a_client_sent_does_not_steer_the_terminal(flask, app, sessions):
    sent = {"HTTP_USER_AGENT": "evil\x1b[2J\r\n\x9b", "REMOTE_ADDR": "\x1b]0;owned\x07"}
    visit(app, "/login/ada", method="POST", environ_overrides=sent)
    sessions.create("eve\x1b[31m\n\u202eadmin")
    for words in (["list"], ["users"]):
        output = flask(*words).output
        assert len(output.splitlines()) == 2
        assert all(character.isprintable() for character in output.replace("\n", ""))
    assert "ké" in _listed_agent(flask, app, sessions)


def _listed_agent(flask, app, sessions):
    sessions.kill_all()
    sessions.create("käthe", user_agent="ké")
    output = flask("list").output
    assert "käthe" in output
    return output


def test_no_token_is_shown(flask, sessions, client):
    client.post("/login/ada")
    token = client.get_cookie("session").value
    for words in (["list"], ["list", "ada"], ["users"], ["count"]):
        assert token not in flask(*words).output


def test_the_verbs_are_those_of_the_apps_own_sessions(flask, make_app, sessions):
    other = make_app(REDISESS_NAMESPACE="other")
    sessions.create("ada")
    manager_of(other).create("bob")
    assert flask("users", on=other).output == "bob\n"
