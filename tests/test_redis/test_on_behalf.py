"""What ends on behalf of a session, as an administrator's: nothing where that one is dead; and what is read by ids."""

from __future__ import annotations

import pytest

from redisess_core import SessionGone


@pytest.fixture(params=[1, 8])
def many(make_manager, clock, request):
    return make_manager(clock=clock, shards=request.param)


@pytest.fixture
def others(many):
    """Sessions of several users in, where there are several, all shards."""
    return [many.create(f"user{each % 20}" if each % 5 else None).session_id for each in range(60)]


def ends_of(manager, others, acting):
    """Give every plan of an end by its name."""
    return {
        "one": lambda: manager.run(manager.plan_kill_for(others[7], acting)),
        "a user's": lambda: manager.run(manager.plan_kill_user("user7", acting=acting)),
        "all": lambda: manager.run(manager.plan_kill_all(keep=[acting], acting=acting)),
    }


@pytest.mark.parametrize(("what", "ended"), [("one", True), ("a user's", 3), ("all", 60)])
def test_a_session_that_lives_has_them_ended(many, others, what, ended):
    acting = many.create("admin").session_id
    assert ends_of(many, others, acting)[what]() == ended
    assert many.exists(acting)
    assert many.count() == 61 - ended


@pytest.mark.parametrize("how", ["killed", "expired"])
@pytest.mark.parametrize("what", ["one", "a user's", "all"])
def test_a_dead_session_has_nothing_ended(many, others, clock, what, how):
    acting = many.create("admin", ttl=10).session_id
    if how == "killed":
        many.kill(acting)
    else:
        clock.advance(10)
    with pytest.raises(SessionGone):
        ends_of(many, others, acting)[what]()
    assert many.count() == 60


@pytest.mark.parametrize("what", ["a user's", "all"])
def test_it_may_end_with_them(many, others, what):
    acting = many.create("user7").session_id
    plans = {"a user's": many.plan_kill_user("user7", acting=acting), "all": many.plan_kill_all(acting=acting)}
    assert many.run(plans[what]) == {"a user's": 4, "all": 61}[what]
    assert not many.exists(acting)


def test_it_has_itself_ended(many):
    acting = many.create("admin").session_id
    assert many.run(many.plan_kill_for(acting, acting)) is True
    with pytest.raises(SessionGone):
        many.run(many.plan_kill_for(acting, acting))


def test_nobody_acts_where_none_is_named(many, others):
    assert many.run(many.plan_kill_for(others[0], None)) is True
    assert many.run(many.plan_kill_for(others[0], None)) is False
    assert many.run(many.plan_kill_all()) == 59


def test_what_comes_to_life_while_all_end_stays(many, others, clock):
    acting = many.create("admin").session_id
    clock.advance(1)
    late = many.create("user7").session_id
    clock.advance(-1)
    assert many.run(many.plan_kill_all(keep=[acting], acting=acting)) == 60
    assert set(many.get_all_sessions()) == {acting, late}


def test_sessions_are_read_by_their_ids_in_their_order(many, others):
    wanted = [*others[40:], *others[:10], others[45]]
    found = many.run(many.plan_named(wanted))
    assert [each.session_id for each in found] == wanted[:-1]
    assert {each.user_id for each in found} > {None, "user7"}


def test_what_names_no_live_session_is_left_out_and_cleared_away(many, others, clock):
    brief = many.create("ada", ttl=10).session_id
    many.kill(others[0])
    clock.advance(10)
    found = many.run(many.plan_named(["nonsense", others[0], "saa" + "0" * 25, brief, others[1]]))
    assert [each.session_id for each in found] == [others[1]]
    assert many.run(many.plan_named([])) == []
    assert many.count_for_user("ada") == 0


def test_they_come_as_a_list_gives_them_and_are_not_touched(make_manager, clock):
    manager = make_manager(clock=clock, additional_fields=["role"])
    session = manager.create("ada", role="admin", ip="192.0.2.1", user_agent="curl/8", data={"cart": [1]})
    clock.advance(60)
    (found,) = manager.run(manager.plan_named([session.session_id]))
    (listed,) = manager.list_user_sessions("ada")
    assert (found.role, found.ip, found.user_agent, found.idle) == ("admin", "192.0.2.1", "curl/8", 60)
    assert vars_of(found) == vars_of(listed)
    assert found.data == listed.data == {}


def vars_of(session):
    names = ("session_id", "user_id", "created", "authenticated_at", "last_access", "expires", "fields", "ttl")
    return {name: getattr(session, name) for name in names}


def test_many_are_read_by_a_hundred(make_manager, clock, wire):
    manager = make_manager(clock=clock)
    ids = [manager.create("ada", data={"big": "x" * 1000}).session_id for _ in range(250)]
    with wire() as seen:
        found = manager.run(manager.plan_named(ids))
    assert [each.session_id for each in found] == ids
    assert len(seen.names) == 3
