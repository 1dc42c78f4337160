"""Both managers and both sessions look alike, to people, to `inspect` and to `create_autospec`."""

from __future__ import annotations

import asyncio
import inspect
from unittest.mock import create_autospec

import pytest

from redisess_core import AsyncSession, AsyncSessionManager, Session, SessionManager

MANAGERS = (SessionManager, AsyncSessionManager)
SESSIONS = (Session, AsyncSession)
PAIRS = {"managers": MANAGERS, "sessions": SESSIONS}
BLOCKING_NAMES = {"aclose": "close"}  # what has another name on the async side

# Section 2 of the design, to the letter: parameters and their defaults.
MANAGER_METHODS = {
    "create": "user_id, *, ttl=None, max_lifetime=None, data=None, ip=None, user_agent=None, **fields",
    "authenticate": "token, *, touch=True",
    "get": "session_id, *, touch=True",
    "exists": "session_id",
    "count": "secs=0",
    "count_for_user": "user_id, secs=0",
    "count_users": "secs=0",
    "get_all_sessions": "secs=0",
    "get_user_sessions": "user_id, secs=0",
    "get_all_users": "secs=0",
    "get_oldest_user_session": "user_id, *, touch=True",
    "list_user_sessions": "user_id, secs=0",
    "iter_sessions": "secs=0",
    "iter_users": "secs=0",
    "rotate": "session, *, user_id=Ellipsis, ttl=None, **fields",
    "kill": "session_id, *, user_id=None",
    "kill_user": "user_id, *, keep=None",
    "kill_all": "*, keep=None",
    "wipe": "",
    "verify": "*, repair=False",
    "now": "",
    "events": "",
    "quit": "",
}
SESSION_METHODS = {
    "read": "",
    "write": "",
    "kill": "",
    "get": "key, default=None",
    "set": "key, value=...",
    "delete": "*keys",
    "get_all": "",
}
NOT_AWAITED = {"events", "iter_sessions", "iter_users"}
METHODS = [(MANAGERS, name, wanted) for name, wanted in MANAGER_METHODS.items()]
METHODS += [(SESSIONS, name, wanted) for name, wanted in SESSION_METHODS.items()]


def public(kind):
    """The public names of a class; the async side's in their blocking form."""
    return {BLOCKING_NAMES.get(name, name) for name in dir(kind) if not name.startswith("_")}


def parameters(function):
    """How a signature reads without its types and `self`, and whether it takes its session by position only."""
    shown = []
    for parameter in list(inspect.signature(function).parameters.values())[1:]:
        default = "" if parameter.default is parameter.empty else f"={parameter.default!r}"
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in "".join(shown):
            shown.append("*")
        sign = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
        shown.append(f"{sign}{parameter.name}{default}")
    return ", ".join(shown)


@pytest.mark.parametrize("pair", PAIRS)
def test_both_have_the_same_public_names(pair):
    blocking, awaiting = PAIRS[pair]
    assert public(blocking) == public(awaiting)


@pytest.mark.parametrize("name", ["close", "aclose"])
def test_each_manager_closes_by_its_own_name(name):
    assert hasattr(SessionManager, name) == (name == "close")
    assert hasattr(AsyncSessionManager, name) == (name == "aclose")


@pytest.mark.parametrize(("pair", "name", "wanted"), METHODS)
def test_a_method_takes_what_the_design_says_on_both_sides(pair, name, wanted):
    for kind in pair:
        found = parameters(getattr(kind, name))
        if wanted.endswith("value=..."):
            assert found.startswith(wanted.removesuffix("..."))
        else:
            assert found == wanted


@pytest.mark.parametrize(("pair", "name", "wanted"), METHODS)
def test_the_two_sides_differ_in_nothing_but_the_await(pair, name, wanted):
    blocking, awaiting = (getattr(kind, name) for kind in pair)
    one, other = inspect.signature(blocking), inspect.signature(awaiting)
    assert one.parameters == other.parameters
    if name != "events":
        assert one.return_annotation == other.return_annotation
        assert blocking.__doc__ == awaiting.__doc__
    assert blocking.__name__ == awaiting.__name__ == name


@pytest.mark.parametrize(("pair", "name", "wanted"), METHODS)
def test_only_the_async_side_is_awaited(pair, name, wanted):
    blocking, awaiting = (getattr(kind, name) for kind in pair)
    assert not inspect.iscoroutinefunction(blocking)
    assert inspect.iscoroutinefunction(awaiting) == (name not in NOT_AWAITED)
    assert asyncio.iscoroutinefunction(awaiting) == (name not in NOT_AWAITED)
    assert inspect.isfunction(inspect.getattr_static(pair[0], name))


def test_aclose_is_awaited_and_close_is_not():
    assert inspect.iscoroutinefunction(AsyncSessionManager.aclose)
    assert not inspect.iscoroutinefunction(SessionManager.close)


def test_both_managers_take_the_same_options():
    one, other = (inspect.signature(kind.__init__).parameters for kind in MANAGERS)
    assert list(one) == list(other)
    options = list(one.values())[2:]
    assert all(option.kind is option.KEYWORD_ONLY for option in options)
    assert [option.default for option in options] == [option.default for option in list(other.values())[2:]]
    assert [(option.name, option.default) for option in options] == [
        ("namespace", "sessions"),
        ("additional_fields", ()),
        ("ttl", 1800),
        ("max_lifetime", None),
        ("touch_interval", 1.0),
        ("max_sessions_per_user", None),
        ("on_limit", "evict"),
        ("record_client", True),
        ("max_data_bytes", 65536),
        ("shards", None),
        ("clock", None),
    ]


@pytest.mark.parametrize("kind", [*MANAGERS, *SESSIONS])
def test_everything_public_says_what_it_is(kind):
    assert kind.__doc__
    for name in public(kind) & set(dir(kind)):
        found = inspect.getattr_static(kind, name)
        if inspect.isfunction(found) or isinstance(found, property):
            assert (found.__doc__ or "").strip().endswith("."), name


@pytest.mark.parametrize(("pair", "name", "wanted"), METHODS)
def test_a_method_tells_its_own_result_not_its_plan(pair, name, wanted):
    for kind in pair:
        returns = str(inspect.signature(getattr(kind, name)).return_annotation)
        assert not any(word in returns for word in ("Operation", "Steps", "Plan", "Iteration")), returns


@pytest.mark.parametrize("pair", PAIRS)
def test_both_can_be_specified_for_a_mock(pair):
    for kind in PAIRS[pair]:
        assert isinstance(create_autospec(kind, instance=True), kind)


@pytest.mark.parametrize("kind", MANAGERS)
def test_a_mock_of_a_managers_class_is_made_as_the_manager_is(kind):
    mock = create_autospec(kind)
    assert isinstance(mock("redis://127.0.0.1", ttl=60), kind)
    with pytest.raises(TypeError):
        mock("redis://127.0.0.1", no_such_option=1)


def test_a_mock_of_the_blocking_manager_answers_and_checks_arguments():
    mock = create_autospec(SessionManager, instance=True)
    mock.count.return_value = 5
    assert mock.count() == 5
    mock.create("ada", role="admin")
    mock.create.assert_called_once_with("ada", role="admin")
    with pytest.raises(TypeError):
        mock.authenticate()
    with pytest.raises(TypeError):
        mock.count(5, 6)
    with pytest.raises(AttributeError):
        mock.no_such_method()


def test_a_mock_of_the_async_manager_is_awaited_and_checks_arguments():
    async def story():
        mock = create_autospec(AsyncSessionManager, instance=True)
        mock.count.return_value = 5
        assert await mock.count() == 5
        session = create_autospec(AsyncSession, instance=True)
        mock.authenticate.return_value = session
        assert await mock.authenticate("token") is session
        mock.authenticate.assert_awaited_once_with("token")
        with pytest.raises(TypeError):
            await mock.authenticate()
        await session.set("key", 1)
        session.set.assert_awaited_once_with("key", 1)

    asyncio.run(story())


@pytest.mark.parametrize("kind", MANAGERS)
def test_a_subclass_can_build_on_a_method(kind):
    class Own(kind):
        def count(self, secs=0):
            return super().count(secs)

    assert inspect.signature(Own.create) == inspect.signature(kind.create)
    assert inspect.iscoroutinefunction(Own.create) == inspect.iscoroutinefunction(kind.create)
    if kind is SessionManager:
        with Own("memory://", namespace="subclass") as manager:
            manager.create("ada")
            assert manager.count() == 1
    else:

        async def story():
            async with Own("memory://", namespace="async subclass") as manager:
                await manager.create("ada")
                assert await manager.count() == 1

        asyncio.run(story())


def test_public_names_are_those_that_are_exported():
    import redisess_core

    assert redisess_core.__all__ == sorted(redisess_core.__all__)
    for name in redisess_core.__all__:
        assert hasattr(redisess_core, name)
    assert {kind.__name__ for kind in (*MANAGERS, *SESSIONS)} <= set(redisess_core.__all__)
    assert {"RedisessError", "SessionGone", "SessionLimitReached", "SessionDataTooLarge"} <= set(redisess_core.__all__)
    assert {"NamespaceMismatch", "StoreUnavailable", "StoreUnsupported"} <= set(redisess_core.__all__)
    assert {"SessionEvent", "Verification", "register_type", "__version__"} <= set(redisess_core.__all__)
