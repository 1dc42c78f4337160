"""The reference pages: every method, option, error, key and right is there, as the code has it."""

from __future__ import annotations

import ast
import inspect
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from doc_pages import names_in, rows_in, signature_of, signatures_in, text_of

import redisess_core
import redisess_django
import redisess_flask
import redisess_starlette.fastapi
from redisess_core import EventKind, EventReason, RedisessError, SessionEvent, SessionManager
from redisess_core.operation import iteration, operation
from redisess_core.operations import SessionOperations
from redisess_core.scripts import script
from redisess_core.session import SessionMethods, SessionState
from redisess_core.web import MANAGER_OPTIONS, OPTIONS, WEB_OPTIONS
from redisess_django.conf import DJANGO_OPTIONS, option
from redisess_flask import cli
from redisess_starlette import RedisessMiddleware
from redisess_starlette.state import ManagerOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.server import Server

METHODS = {
    *(name for name, member in vars(SessionOperations).items() if isinstance(member, operation | iteration)),
    *("events", "close", "quit"),
}
# What a session shows to the managers and the web layer, not to its users.
INTERNAL = {"has_data", "stored_fields", "changed_fields", "changed_ttl", "carried_fields", "own_lifetime"}
KINDS = {b"hash": "hash", b"zset": "sorted set", b"string": "string"}


def test_every_method_of_a_manager_is_in_the_reference_with_its_arguments():
    shown = signatures_in(text_of("docs/operations.md", "## A manager"))
    assert shown == {name: signature_of(getattr(SessionManager, name)) for name in METHODS}


def test_every_method_of_a_session_is_in_the_reference_with_its_arguments():
    shown = signatures_in(text_of("docs/operations.md", "## A session"))
    methods = {name: member.plan for name, member in vars(SessionMethods).items() if isinstance(member, operation)}
    assert shown == {name: signature_of(plan) for name, plan in methods.items()}


def test_every_attribute_of_a_session_is_in_the_reference():
    attributes = {name for name, member in vars(SessionState).items() if isinstance(member, property)}
    attributes = {name for name in attributes if not name.startswith("_")}
    assert attributes - INTERNAL <= names_in(text_of("docs/operations.md", "## A session"))


def test_every_method_of_a_manager_is_in_the_readme():
    assert METHODS - {"close", "quit"} <= names_in(text_of("README.md", "## The operations"))


def test_every_option_of_a_manager_is_in_the_reference_with_its_default():
    section = text_of("docs/operations.md", "## A manager").partition("### ")[0]
    shown = {row[0].strip("`"): row[1].strip("`") for row in rows_in(section)[1:]}
    assert {name: ast.literal_eval(default) for name, default in shown.items()} == {
        option.name: option.default for option in MANAGER_OPTIONS
    }


def test_every_public_name_of_the_core_is_in_the_reference():
    public = {name: getattr(redisess_core, name) for name in redisess_core.__all__}
    text = text_of("docs/operations.md")
    assert {name for name in public if f"`{name}`" not in text} <= {"__version__", "Events", "AsyncEvents"}
    errors = {name for name, value in public.items() if isinstance(value, type) and issubclass(value, RedisessError)}
    assert errors == names_in(text_of("docs/operations.md", "## Errors"))


def test_every_kind_and_reason_of_an_event_is_in_the_reference():
    section = text_of("docs/operations.md", "## Events")
    for name in (*EventKind, *EventReason, *SessionEvent.__slots__):
        assert f"`{name}`" in section, name


def test_the_table_of_flasks_configuration_is_the_one_table_of_options():
    rows = [row for row in rows_in(text_of("docs/flask.md", "## Configuration")) if row[0].startswith("`REDISESS_")]
    assert rows == [[f"`REDISESS_{each.name.upper()}`", f"`{each.default!r}`", each.meaning] for each in OPTIONS]


def test_the_table_of_starlettes_options_is_the_middlewares_own_and_the_one_table():
    rows = {row[0]: row[1:] for row in rows_in(text_of("docs/starlette.md", "## Options"))[1:]}
    one_table = {f"`{each.name}`": [f"`{each.default!r}`", each.meaning] for each in (*MANAGER_OPTIONS, *WEB_OPTIONS)}
    assert {name: rows.get(name) for name in one_table} == one_table
    shown = {
        name.strip("`"): ast.literal_eval(default.strip("`"))
        for names, (defaults, _) in rows.items()
        for name, default in zip(names.split(", "), defaults.split(", "), strict=True)
    }
    parameters = inspect.signature(RedisessMiddleware).parameters
    own = {name: each.default for name, each in parameters.items() if each.kind is each.KEYWORD_ONLY}
    assert {name: default for name, default in shown.items() if name in own} == own
    assert shown.keys() - own.keys() == ManagerOptions.__annotations__.keys()


def test_the_table_of_djangos_settings_is_the_one_table_and_its_own():
    rows = [row for row in rows_in(text_of("docs/django.md", "## Settings"))[1:] if len(row) == 3]
    expected = [[f"`{each.name.upper()}`", f"`{each.default!r}`", each.meaning] for each in (*OPTIONS, *DJANGO_OPTIONS)]
    ttl = expected.index(next(row for row in expected if row[0] == "`TTL`"))
    expected[ttl] = next(row for row in rows if row[0] == "`TTL`")  # SESSION_COOKIE_AGE is Django's name for it
    assert rows == expected
    assert option("TTL") is None


def test_every_public_name_of_the_django_adapter_is_on_its_page():
    text = text_of("docs/django.md")
    assert {name for name in redisess_django.__all__ if name not in text} == set()


def test_every_public_name_of_the_starlette_adapter_is_on_its_page():
    text = text_of("docs/starlette.md")
    assert {name for name in redisess_starlette.__all__ if name not in text} == set()
    assert {name for name in redisess_starlette.fastapi.__all__ if name not in text} == {"BlockingRequestSession"}


def test_every_public_name_and_command_of_the_flask_adapter_is_on_its_page():
    text = text_of("docs/flask.md")
    assert {name for name in redisess_flask.__all__ if name not in text} <= {"FlaskSession"}
    commands = text_of("docs/flask.md", "## The command line")
    for name, command in cli.sessions.commands.items():
        [line] = re.findall(rf"^flask sessions {name}(?= |$)(.*)$", commands, re.MULTILINE)
        for parameter in command.params:
            assert (parameter.opts[0] if parameter.param_type_name == "option" else parameter.name.upper()) in line


def test_the_keys_in_redis_are_those_of_the_page(redis_url, redis_client):
    with SessionManager(redis_url) as manager:
        session_id = manager.run(manager.plan_create(manager.new_token("ada"), "ada", {}, once=60)).session_id
        lost = manager.create(None).session_id
    redis_client.zrem("{sessions:0}:activity", lost)
    keys = [f"{{sessions:0}}:{name}" for name in ("activity", "expiry", "users", "mending")]
    assert redis_client.eval(script("wipe").source, len(keys), *keys, "") == [b"more", 0]
    redis_client.delete(f"{{sessions:0}}:s:{lost}")
    found = {key.decode(): KINDS[redis_client.type(key)] for key in redis_client.scan_iter()}
    shown = {row[0].strip("`"): row[1] for row in rows_in(text_of("docs/redis.md", "## Keys")) if row[1] != "channel"}
    named = {key.replace("<session id>", session_id).replace("<user id>", "ada"): kind for key, kind in shown.items()}
    assert {key: kind for key, kind in named.items() if key.startswith("{")} == found


def test_a_user_with_the_rights_of_the_page_can_do_everything(start_server: Callable[..., Server]):
    server = start_server()
    [rights] = re.findall(r"^(ACL SETUSER .*)$", text_of("docs/redis.md"), re.MULTILINE)
    admin = server.client()
    version = tuple(map(int, admin.info("server")["redis_version"].split(".")[:2]))
    if version < (7, 2):
        rights = rights.replace("+client|setinfo", "+client")
    if version < (7, 0):
        rights = rights.replace("%", "")
    admin.execute_command(*rights.split())
    url = server.url.replace("redis://", "redis://redisess:secret@")
    with SessionManager(url, additional_fields=["device"], max_sessions_per_user=3, touch_interval=0) as manager:
        with manager.events() as events:
            session = manager.create(None, data={"cart": [1]})
            assert next(events).session_id == session.session_id
        session = manager.rotate(session, user_id="ada", device="laptop")
        for immortal in (0, None, 0, None):
            manager.create("ada", ttl=immortal)
        session = manager.create("ada", data={"a": 1})
        assert manager.authenticate(session.token)
        session.ttl = 5
        session.write()
        session.set({"b": 2, "c": 3})
        session.delete("b")
        assert session.get("c") == 3
        assert session.get_all() == {"a": 1, "c": 3}
        assert session.read()
        assert manager.exists(session.session_id)
        assert manager.get_oldest_user_session("ada")
        assert len(manager.list_user_sessions("ada")) == len(manager.get_user_sessions("ada")) == 3
        assert list(manager.iter_sessions())
        assert list(manager.iter_users()) == manager.get_all_users() == ["ada"]
        assert manager.get_all_sessions(60)
        assert manager.count(60) == manager.count_for_user("ada") == 3
        assert manager.count_users() == 1
        admin.delete(f"{{sessions:0}}:s:{session.session_id}")  # as an eviction does
        assert not manager.exists(session.session_id)
        assert manager.kill(manager.get_all_sessions()[0])
        assert manager.kill_user("ada") == 1
        assert manager.kill_all() == manager.wipe() == 0
        assert manager.now()
    with pytest.raises(redis.exceptions.NoPermissionError):
        redis.Redis.from_url(url).set("another", 1)


def test_the_rights_of_the_page_are_those_that_the_scripts_need():
    [rights] = re.findall(r"^ACL SETUSER .*$", text_of("docs/redis.md"), re.MULTILINE)
    granted = set(re.findall(r"\+([a-z]+)", rights)) - {"client"}
    scripts = Path(str(files("redisess_core") / "lua")).rglob("*.lua")
    needed = {name.lower() for file in scripts for name in re.findall(r"redis\.p?call\('(\w+)'", file.read_text())}
    assert granted == needed | {"eval", "evalsha", "subscribe", "unsubscribe", "ping", "select"}
