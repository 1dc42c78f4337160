"""Whoever reads the whole database, every log line, every event and every error can sign in as nobody."""

from __future__ import annotations

import base64
import hashlib
import logging
import pickle
import re
from dataclasses import astuple

import pytest
from every_operation import OPERATIONS, new_session
from hearing import heard

from redisess_core import RedisessError, StoreUnavailable
from redisess_core.tokens import session_id_of
from support.both import unwrap

FORM = re.compile(r"1[a-z2-7]{28}")


def spellings(token):
    """The secret of a token in every way that it might have been written down."""
    random = token[3:]
    raw = base64.b32decode(random[:24].upper())  # 24 of the 26 characters are 15 whole bytes
    return {
        token,
        random,
        token.upper(),
        random[::-1],
        raw.hex(),
        base64.b64encode(token.encode()).decode().rstrip("="),
        base64.b64encode(raw).decode(),
        hashlib.sha256(token.encode()).hexdigest(),
        hashlib.sha1(token.encode()).hexdigest(),
        hashlib.md5(token.encode()).hexdigest(),
    }


def strings(value):
    """Every str in what was read from the database, however deep; numbers and bytes as text."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from strings(key)
            yield from strings(item)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from strings(item)
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    else:
        yield str(value)


@pytest.fixture
def story(make_manager, clock, stored, wire, caplog):
    """A story that uses everything: its tokens, and every text that it left anywhere."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("redisess").setLevel(logging.DEBUG)
    tokens, texts = [], []

    def look(*shown):
        texts.extend(strings(stored()))
        texts.extend(shown)

    manager = make_manager(clock=clock, additional_fields=("role",), max_sessions_per_user=3, max_data_bytes=500)
    with heard(manager) as events, wire() as seen:
        for name, operation in OPERATIONS.items():
            session = new_session(manager)
            tokens.append(session.token)
            result = operation(manager, session)
            found = result if isinstance(result, list) else [result]
            tokens.extend(getattr(each, "token", None) for each in found)
            look(
                name, repr(result), str(result), repr(session), repr(manager), repr(session.data), repr(session.fields)
            )
            clock.advance(5)
        for user_id in ("ada", "bob", None):
            session = manager.create(user_id, data={"cart": [1]}, ip="192.0.2.7", user_agent="Browser/1.0", role="user")
            tokens.append(session.token)
            for index in range(4):
                tokens.append(manager.create("ada", ttl=10 * index).token)
                look()
        held = manager.get(manager.create("ada").session_id)
        tokens.append(manager.rotate(held, user_id="eve").token)
        tokens.append(manager.rotate(session, user_id="eve").token)
        for failing in (
            lambda: held.set("key", 1),
            lambda: manager.rotate(session),
            lambda: manager.create("ada", data={"key": object()}),
            lambda: manager.create("ada", data={"key": "x" * 1000}),
            lambda: manager.authenticate(tokens[0].encode()),
            lambda: manager.kill_user("ada", keep=tokens[0]),
            lambda: manager.get(tokens[0].encode()),
            lambda: manager.rotate(tokens[0]),
            lambda: setattr(session, "token", "another"),
        ):
            with pytest.raises((TypeError, ValueError, AttributeError, RedisessError)) as raised:
                failing()
            look(str(raised.value), repr(raised.value))
        clock.advance(20)
        manager.wipe()
        look()
    for event in events:
        texts.extend([repr(event), *map(str, astuple(event))])
    texts.extend(word for command in [*seen, *seen.in_scripts] for word in command.words)
    texts.extend(f"{record.getMessage()} {record.args} {record.exc_text}" for record in caplog.records)
    tokens = [token for token in tokens if token]
    assert len(set(tokens)) > 40
    assert len(texts) > 2000
    return manager, tokens, texts


def test_no_token_and_nothing_like_one_is_written_anywhere_in_any_spelling(story):
    _, tokens, texts = story
    everything = "\n".join(set(texts))
    for token in set(tokens):
        for spelling in spellings(token):
            assert spelling not in everything
            assert spelling.lower() not in everything.lower()
    assert FORM.search(everything) is None


def test_nothing_that_was_written_signs_anybody_in(story, clock):
    manager, tokens, texts = story
    found = {text for text in texts if 0 < len(text) < 200}
    found |= {match for text in texts for match in re.findall(r"(?=([\w]{29}))", text)}
    found |= {f"1{text[1:]}" for text in found}
    alive = [token for token in set(tokens) if manager.authenticate(token, touch=False)]
    assert alive
    for text in found:
        assert manager.authenticate(text, touch=False) is None, text


def test_a_session_id_made_a_token_signs_nobody_in(manager):
    session_id = manager.create("ada").session_id
    for token in ("1" + session_id[1:], "1" + session_id[1:] + "a", session_id_of("1aa" + "a" * 26)):
        assert manager.authenticate(token) is None


def test_the_hash_of_a_token_that_is_stored_names_the_session_only(manager, stored):
    session = manager.create("ada")
    (key,) = [key for key in stored() if b":s:" in key]
    assert key.decode().endswith(f":s:{session.session_id}")
    assert session.session_id == "s" + session.token[1:3] + hashlib.sha256(session.token.encode()).hexdigest()[:25]


@pytest.mark.parametrize(
    "show", [repr, str, "{}".format, "{!r}".format, "%s".__mod__], ids=["repr", "str", "f", "r", "%"]
)
def test_no_session_and_no_manager_shows_a_token(make_manager, show):
    manager = make_manager(client_options={"username": "default", "password": ""})
    session = manager.create("ada", data={"secret": "hunter2"})
    for thing in (session, unwrap(session), [session], {"session": session}, session.data, manager, unwrap(manager)):
        assert session.token not in show(thing)
        assert "hunter2" not in show(thing)


def test_no_password_of_a_url_is_shown(make_manager, start_server):
    server = start_server("--requirepass", "hunter2")
    manager = make_manager(url=server.url)
    session = manager.create("ada")
    server.stop()
    with pytest.raises(StoreUnavailable) as raised:
        manager.count()
    for shown in (repr(manager), repr(unwrap(manager)), repr(session), str(raised.value), repr(raised.value)):
        assert "hunter2" not in shown


@pytest.mark.one_shard
def test_values_are_not_shown_by_the_errors_that_refuse_them(manager, redis_client, namespace):
    session = manager.create("ada", data={"key": "hunter2"})
    name = f"{{{namespace}:0}}:s:{session.session_id}"
    redis_client.hset(name, "d:key", pickle.dumps("hunter2"))
    with pytest.raises(RedisessError) as raised:
        session.get("key")
    assert "hunter2" not in str(raised.value)
    with pytest.raises(TypeError) as refused:
        session.set("key", {"hunter2": ["hunter2", object()]})
    assert str(refused.value).count("hunter2") <= 1  # the way to it names a key, as it has to
    assert repr(["hunter2", "hunter2"]) not in str(refused.value)
