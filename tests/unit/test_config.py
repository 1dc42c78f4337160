"""What callers hand in is checked, and what is said names it, what was given and what is wanted."""

from __future__ import annotations

import math
import sys
from dataclasses import FrozenInstanceError, replace
from decimal import Decimal
from fractions import Fraction
from uuid import UUID

import pytest

from redisess_core import config
from redisess_core.config import Options
from redisess_core.operations import reserved_names

OPTIONS = Options(
    namespace="sessions",
    additional_fields=(),
    ttl=1800,
    max_lifetime=None,
    touch_interval=1.0,
    max_sessions_per_user=None,
    on_limit="evict",
    record_client=True,
    max_data_bytes=65536,
    shards=1,
    clock=None,
)
GOOD = {
    "namespace": ["s", "a" * 256, "é" * 128, "a:b", "a b", "*"],
    "ttl": [0, 0.5, 10**9, 2**70, sys.float_info.max],
    "max_lifetime": [None, 0.1, 10**9],
    "touch_interval": [0, 0.5, 3600],
    "max_sessions_per_user": [None, 1, 10**6],
    "on_limit": ["evict", "refuse"],
    "record_client": [True, False],
    "max_data_bytes": [1, 2**40],
    "shards": [1, 64, 1024],
    "clock": [None, lambda: 0.0],
}
BAD = {
    "namespace": ["", "a" * 257, "é" * 129, "{", "}", "a{b}", "\ud800", None, 5, b"s"],
    "ttl": [-1, -0.1, math.nan, math.inf, -math.inf, 10**400, None, "1", True, Decimal(1), Fraction(1)],
    "max_lifetime": [0, 0.0, -1, math.nan, math.inf, "1", False],
    "touch_interval": [-1, math.nan, math.inf, None, "1", True],
    "max_sessions_per_user": [0, -1, 1.0, "1", True],
    "on_limit": ["", "EVICT", None, 1],
    "record_client": [None, 0, 1, "yes"],
    "max_data_bytes": [0, -1, 1.0, None, True],
    "shards": [0, -1, 1025, 1.0, None, True],
    "clock": [0, "now", 1.5],
}


def cases(table):
    return [pytest.param(name, value, id=f"{name}={value!r:.14}") for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), cases(GOOD))
def test_a_right_option_is_kept_as_it_is(name, value):
    assert getattr(replace(OPTIONS, **{name: value}), name) is value


@pytest.mark.parametrize(("name", "value"), cases(BAD))
def test_a_wrong_option_is_refused_by_its_name(name, value):
    with pytest.raises((TypeError, ValueError), match=f"^{name}: .*(given|lone surrogate)") as raised:
        replace(OPTIONS, **{name: value})
    assert "wanted" in str(raised.value)


def test_options_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        OPTIONS.ttl = 5
    assert not hasattr(OPTIONS, "__dict__")


# ---- ids


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("ada", "ada"),
        ("é" * 128, "é" * 128),
        (0, "0"),
        (-5, "-5"),
        (10**255, "1" + "0" * 255),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
    ids=lambda value: str(value)[:8],
)
def test_a_user_id_is_its_text(given, wanted):
    assert config.check_user_id(given) == wanted


@pytest.mark.parametrize("given", ["", "a" * 257, "é" * 129, "\udfff", 10**256], ids=lambda value: repr(value)[:8])
def test_a_user_id_of_a_wrong_length_is_a_value_error(given):
    with pytest.raises(ValueError, match="user_id"):
        config.check_user_id(given)


@pytest.mark.parametrize("given", [None, True, 1.0, b"ada", ["ada"], object()], ids=lambda value: type(value).__name__)
def test_a_user_id_of_a_wrong_type_is_a_type_error(given):
    with pytest.raises(TypeError, match=f"user_id: {type(given).__name__} given, a str, int or UUID wanted"):
        config.check_user_id(given)


def test_a_subclass_of_str_is_a_user_id():
    class Name(str):
        __slots__ = ()

    assert config.check_user_id(Name("ada")) == "ada"


@pytest.mark.parametrize("name", ["session_id", "token"])
def test_a_handle_is_some_text_and_is_never_shown(name):
    assert config.check_handle(name, "anything") == "anything"
    with pytest.raises(ValueError, match=f"{name}: an empty str given, a {name.replace('_', ' ')} wanted"):
        config.check_handle(name, "")
    with pytest.raises(TypeError, match=f"{name}: bytes given, a str wanted") as raised:
        config.check_handle(name, b"secret")
    assert "secret" not in str(raised.value)


# ---- data


@pytest.mark.parametrize("key", ["k", "k" * 256, "é" * 128, "\0", " "], ids=lambda key: repr(key)[:8])
def test_a_right_key_of_session_data_is_kept(key):
    assert config.check_data_key(key) == key
    assert config.check_data({key: 1}) == {key: 1}


@pytest.mark.parametrize(
    ("key", "error"),
    [("", ValueError), ("k" * 257, ValueError), ("é" * 129, ValueError), ("\ud800", ValueError), (1, TypeError)],
    ids=lambda key: repr(key)[:8],
)
def test_a_wrong_key_of_session_data_is_refused(key, error):
    for check in (config.check_data_key, lambda key: config.check_data({"good": 1, key: 1})):
        with pytest.raises(error, match="key of session data"):
            check(key)


@pytest.mark.parametrize("data", [None, [], "a", 1, {"a"}], ids=repr)
def test_session_data_is_a_mapping(data):
    with pytest.raises(TypeError, match="a mapping wanted"):
        config.check_data(data)


# ---- additional fields


def test_names_of_fields_are_taken_from_any_iterable_in_their_order():
    for names in (["role", "theme"], ("role", "theme"), iter(["role", "theme"]), {"role": 1, "theme": 2}):
        assert config.check_fields(names, frozenset()) == ("role", "theme")
    assert config.check_fields([], frozenset()) == ()
    assert config.check_fields(["größe"], frozenset()) == ("größe",)


@pytest.mark.parametrize("names", ["role", b"role", None, 5], ids=repr)
def test_one_name_is_no_sequence_of_names(names):
    with pytest.raises(TypeError, match="a sequence of names wanted"):
        config.check_fields(names, frozenset())


@pytest.mark.parametrize("name", ["", "two words", "a-b", "1st", "class", "None", "_role", "__init__", "a.b"])
def test_a_field_is_a_python_name_without_a_leading_underscore(name):
    with pytest.raises(ValueError, match="a Python name without a leading underscore wanted"):
        config.check_fields([name], frozenset())


def test_a_field_is_named_once_and_hides_nothing():
    with pytest.raises(ValueError, match="'role' given twice"):
        config.check_fields(["role", "role"], frozenset())
    with pytest.raises(ValueError, match="'ttl' given, which an attribute or argument"):
        config.check_fields(["ttl"], reserved_names())
    with pytest.raises(TypeError, match="a int given among them"):
        config.check_fields(["role", 5], frozenset())


def test_every_attribute_of_a_session_and_every_argument_beside_fields_is_reserved():
    reserved = reserved_names()
    attributes = {"session_id", "token", "user_id", "ttl", "created", "authenticated_at", "last_access", "expires"}
    attributes |= {"expires_in", "idle", "valid", "ip", "user_agent", "fields", "data"}
    methods = {"read", "write", "kill", "get", "set", "delete", "get_all"}
    arguments = {"self", "session", "user_id", "ttl", "max_lifetime", "data", "ip", "user_agent", "fields"}
    of_the_web_layer = {"transport"}  # login(user_id, *, ttl=None, transport=None, **fields)
    assert attributes | methods | arguments | of_the_web_layer <= reserved
    assert not {"role", "theme", "plan", "name", "email"} & reserved


# ---- the rest


@pytest.mark.parametrize("value", [None, "", "text"])
def test_text_or_none_is_kept(value):
    assert config.check_text("ip", value) is value


def test_what_is_no_text_is_refused():
    with pytest.raises(TypeError, match="ip: bytes given, a str or None wanted"):
        config.check_text("ip", b"192.0.2.7")
