"""The commands of `manage.py`: list sessions and users, end them, wipe."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User, UserManager
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models import QuerySet
from django.test import Client
from django.test.utils import CaptureQueriesContext

from redisess_core.store import Store
from redisess_django import known_users, manager
from redisess_django.management import command

LIST = ["redisess_sessions", "redisess_users"]


@pytest.fixture(autouse=True)
def site(set_up, clock):
    set_up(clock=clock)
    return set_up


def run(*words):
    """Run a command as its words on a command line say."""
    output = io.StringIO()
    call_command(*map(str, words), stdout=output)
    return output.getvalue()


def lines(*words):
    return [json.loads(line) for line in run(*words, "--json").splitlines()]


def signed_in(user, user_agent="curl/8.5.0"):
    client = Client(headers={"User-Agent": user_agent})
    client.get(f"/sign-in/{user.username}")
    return client


def test_sessions_are_listed(ada, bob, clock):
    signed_in(ada)
    clock.advance(7)
    signed_in(bob, "")
    Client().get("/put/a/b")
    clock.advance(3)
    by_user = {each.user_id: each for each in manager().iter_sessions()}
    assert sorted(run("redisess_sessions").splitlines()) == sorted(
        [
            f"{by_user[str(ada.pk)].session_id}  ada ({ada.pk})  10s  127.0.0.1  curl/8.5.0",
            f"{by_user[str(bob.pk)].session_id}  bob ({bob.pk})  3s  127.0.0.1  -",
            f"{by_user[None].session_id}  -  3s  127.0.0.1  -",
        ]
    )
    assert " bob " not in run("redisess_sessions", "ada")
    assert " ada " not in run("redisess_sessions", "--active", 5)
    assert run("redisess_sessions", "ada", "--active", 5) == ""


def test_sessions_are_listed_as_json_lines(ada, clock):
    signed_in(ada)
    began = clock()
    clock.advance(5)
    manager().create(None, ttl=0)
    (session,) = lines("redisess_sessions", "ada")
    assert session == {
        "session_id": manager().get_user_sessions(ada.pk)[0],
        "user_id": str(ada.pk),
        "username": "ada",
        "created": began,
        "authenticated_at": began,
        "last_access": began,
        "expires": began + 1209600,
        "ip": "127.0.0.1",
        "user_agent": "curl/8.5.0",
    }
    (immortal,) = lines("redisess_sessions", "--active", 1)
    assert (immortal["user_id"], immortal["username"], immortal["expires"]) == (None, None, None)


def test_users_are_listed_the_latest_active_first(ada, bob, clock):
    for user in (bob, ada):
        signed_in(user)
        clock.advance(60)
    manager().create("of another service")
    assert run("redisess_users") == f"of another service  -\n{ada.pk}  ada\n{bob.pk}  bob\n"
    assert run("redisess_users", "--active", 60) == f"of another service  -\n{ada.pk}  ada\n"
    found = sorted(lines("redisess_users"), key=lambda line: line["username"] or "")
    assert found == [
        {"user_id": "of another service", "username": None},
        {"user_id": str(ada.pk), "username": "ada"},
        {"user_id": str(bob.pk), "username": "bob"},
    ]


@pytest.mark.parametrize("name", LIST)
def test_json_lines_come_as_they_are_read_whatever_there_is(name, monkeypatch):
    for number in range(1000):
        manager().create(str(number))
    written = []
    execute = Store.execute

    def counting(self, operation):
        written.append(output.getvalue().count("\n"))
        return execute(self, operation)

    monkeypatch.setattr(Store, "execute", counting)
    output = io.StringIO()
    call_command(name, "--json", stdout=output)
    assert output.getvalue().count("\n") == 1000
    assert 0 < written[-1] < 1000  # it read on when it had written much of it


def test_a_user_whom_the_default_manager_hides_has_a_name_all_the_same(ada, monkeypatch):
    hidden = UserManager.from_queryset(QuerySet)()
    hidden.model = User
    hidden.get_queryset = lambda: QuerySet(User).none()
    monkeypatch.setattr(User._meta, "default_manager", hidden)
    manager().create(str(ada.pk))
    assert run("redisess_users") == f"{ada.pk}  ada\n"
    assert known_users.users_by_id([str(ada.pk)]) == {str(ada.pk): ada}  # which the admin goes by, too


def test_names_are_looked_up_by_the_batch(ada, bob, monkeypatch):
    monkeypatch.setattr(command, "_BATCH", 2)
    for user_id in (ada.pk, bob.pk, "1" * 40, -(2**63) - 1, "x", *range(1000, 1004)):
        manager().create(str(user_id))
    with CaptureQueriesContext(connection) as queries:
        found = {each["user_id"]: each["username"] for each in lines("redisess_users")}
    assert len(found) == 9
    assert {name for name in found.values() if name} == {"ada", "bob"}
    assert (found[str(ada.pk)], found[str(bob.pk)]) == ("ada", "bob")
    assert len(queries) <= 5


def test_nobody_is_an_empty_list():
    assert run("redisess_sessions") == run("redisess_users") == ""
    assert lines("redisess_sessions") == lines("redisess_users") == []


@pytest.mark.parametrize("list_command", LIST)
def test_a_list_is_safe_for_a_terminal(list_command, database):
    hostile = "\x1b[2J\x07\r\n\u202e\u2028"
    User.objects.create_user(f"eve{hostile}", password="secret")
    eve = User.objects.get()
    manager().create(str(eve.pk), ip=hostile, user_agent=hostile)
    manager().create(hostile)
    written = run(list_command)
    assert written.replace("\n", "").isprintable()
    assert len(written.splitlines()) == 2
    as_json = run(list_command, "--json")
    assert as_json.isascii()
    assert as_json.replace("\n", "").isprintable()
    assert len(as_json.splitlines()) == 2


def test_no_output_has_a_token_in_it(ada):
    token = signed_in(ada).cookies["sessionid"].value
    for list_command in LIST:
        assert token not in run(list_command)
        assert token not in run(list_command, "--json")


def test_a_session_is_ended(ada):
    here, there = signed_in(ada), signed_in(ada)
    session_id = here.session.session_id
    assert run("redisess_kill", session_id) == f"ended {session_id}\n"
    assert here.get("/me").json()["user"] is None
    assert there.get("/me").json()["user"] == "ada"
    with pytest.raises(CommandError, match=r"^There is no live session of that id\.$"):
        run("redisess_kill", session_id)


def test_what_is_no_session_is_not_shown_again(ada):
    here = signed_in(ada)
    token = here.cookies["sessionid"].value
    for words in (
        ("redisess_kill", token),
        ("redisess_kill_user", token),
        ("redisess_kill_user", token, "--username"),
        ("redisess_sessions", token),
        ("redisess_kill", ""),
        ("redisess_kill_user", ""),
        ("redisess_kill_user", "", "--id"),
        ("redisess_kill_user", token * 9, "--id"),
    ):
        with pytest.raises(CommandError) as raised:
            run(*words)
        assert token not in str(raised.value)
    assert here.get("/me").json()["user"] == "ada"


def test_all_sessions_of_a_user_are_ended_by_the_name_or_the_id(ada, bob):
    here = signed_in(bob)
    for words in (["ada"], [ada.pk], ["ada", "--username"], [ada.pk, "--id"], [f"0{ada.pk}"]):
        manager().create(str(ada.pk))
        manager().create(str(ada.pk))
        assert run("redisess_kill_user", *words) == "ended 2 sessions\n"
    assert run("redisess_kill_user", "ada") == "ended 0 sessions\n"
    assert here.get("/me").json()["user"] == "bob"


def test_a_name_that_is_the_id_of_another_is_not_guessed(ada, bob):
    User.objects.filter(pk=bob.pk).update(username=str(ada.pk))
    here, there = signed_in(ada), signed_in(User.objects.get(pk=bob.pk))
    for command_name in ("redisess_kill_user", "redisess_sessions"):
        with pytest.raises(CommandError, match="username of one user and the id of another: say which"):
            run(command_name, ada.pk)
    assert lines("redisess_sessions", ada.pk, "--id")[0]["username"] == "ada"
    assert lines("redisess_sessions", ada.pk, "--username")[0]["user_id"] == str(bob.pk)
    run("redisess_kill_user", ada.pk, "--username")
    assert here.get("/me").json()["user"] == "ada"
    assert there.get("/me").json()["user"] is None


def test_a_user_whose_name_is_the_own_id_is_clear(ada):
    User.objects.filter(pk=ada.pk).update(username=str(ada.pk))
    manager().create(str(ada.pk))
    assert run("redisess_kill_user", ada.pk) == "ended 1 session\n"


def test_who_is_in_no_database_is_named_by_the_id(ada):
    manager().create("of another service")
    for user in ("of another service", "nobody", "1" * 40):
        with pytest.raises(CommandError, match="There is no such user"):
            run("redisess_kill_user", user)
    assert run("redisess_kill_user", "of another service", "--id") == "ended 1 session\n"


def test_a_user_is_meant_in_one_way():
    with pytest.raises(CommandError, match="not allowed with argument"):
        run("redisess_kill_user", "ada", "--id", "--username")


def test_a_project_without_users_goes_by_ids(monkeypatch):
    for module in (command, known_users):
        monkeypatch.setattr(module, "user_model", lambda: None)
    manager().create("ada")
    assert run("redisess_users") == "ada  -\n"
    with pytest.raises(CommandError, match="say --id"):
        run("redisess_kill_user", "ada")
    assert run("redisess_kill_user", "ada", "--id") == "ended 1 session\n"


@pytest.mark.parametrize("list_command", LIST)
@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_wrong_number_of_seconds_is_refused(list_command, seconds):
    with pytest.raises(CommandError, match=r"secs: |--active"):
        run(list_command, f"--active={seconds}")


@pytest.mark.parametrize("wiping", ["redisess_wipe", "clearsessions"])
def test_what_is_left_of_expired_sessions_is_removed(wiping, clock, redis_client, namespace):
    manager().create("ada", ttl=60)
    lives = manager().create("bob", ttl=6000)
    clock.advance(61)
    assert run(wiping) == ("removed 1 expired session\n" if wiping == "redisess_wipe" else "")
    assert redis_client.zcard(f"{{{namespace}:0}}:expiry") == 1
    assert manager().get_all_sessions() == [lives.session_id]


@pytest.mark.parametrize("words", [["redisess_sessions"], ["redisess_users"], ["redisess_kill", "saa" + "0" * 25]])
def test_what_goes_wrong_is_said_in_a_line(words, site, start_server):
    with start_server() as server:
        away = server.url
    site(url=away)
    with pytest.raises(CommandError, match=r"^Redis cannot be used now: "):
        run(*words)
    site(shards=0)
    with pytest.raises(CommandError, match="shards: "):
        run(*words)


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_who_has_read_enough_of_a_list_may_go(words, redis_url, namespace):
    for _ in range(500):  # more than a pipe takes
        manager().create(None, user_agent="x" * 256)
    program = (
        "import sys; from django.core.management import execute_from_command_line;"
        "from support.django_project import project\n"
        "with project(sys.argv[1], namespace=sys.argv[2]): execute_from_command_line(['manage.py', *sys.argv[3:]])"
    )
    command_line = [sys.executable, "-c", program, redis_url, namespace, "redisess_sessions", *words]
    with subprocess.Popen(
        command_line,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert running.stdout.readline()
        running.stdout.close()
        assert "BrokenPipe" not in running.stderr.read()
    assert running.returncode == 1
