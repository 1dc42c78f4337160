from __future__ import annotations

import inspect
from collections import Counter

import pytest

from redisess_core import AsyncSessionManager, SessionManager
from redisess_core.web import MANAGER_OPTIONS, OPTIONS, STORE_OPTIONS, WEB_OPTIONS


def parameters(manager):
    return {
        name: parameter.default
        for name, parameter in inspect.signature(manager).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


@pytest.mark.parametrize("manager", [SessionManager, AsyncSessionManager])
def test_the_table_has_each_option_of_the_managers_with_its_default(manager):
    assert {option.name: option.default for option in MANAGER_OPTIONS} == parameters(manager)


def test_no_option_is_in_the_table_twice():
    assert set(Counter(option.name for option in OPTIONS).values()) == {1}
    assert {*STORE_OPTIONS, *MANAGER_OPTIONS, *WEB_OPTIONS} == set(OPTIONS)


def test_the_defaults_are_those_of_the_design():
    assert {option.name: option.default for option in OPTIONS} == {
        "url": "redis://localhost:6379/0",
        "client": None,
        "namespace": "sessions",
        "additional_fields": (),
        "ttl": 1800,
        "max_lifetime": None,
        "touch_interval": 1.0,
        "max_sessions_per_user": None,
        "on_limit": "evict",
        "record_client": True,
        "max_data_bytes": 65536,
        "shards": None,
        "clock": None,
        "header": "Authorization",
        "skip": None,
        "clear_site_data": False,
    }


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_says_what_it_means_in_one_phrase(option):
    assert 10 < len(option.meaning) < 100
    assert not option.meaning.endswith(".")
    assert option.name.isidentifier()


@pytest.mark.parametrize("option", MANAGER_OPTIONS, ids=lambda option: option.name)
def test_every_option_of_a_manager_can_be_read_back_from_it(option):
    with SessionManager("memory://") as manager:
        wanted = {"shards": 1}.get(option.name, option.default)
        assert getattr(manager, option.name) == wanted
