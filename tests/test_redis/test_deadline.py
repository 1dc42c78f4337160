"""A deadline of a session's own, and a sign-in that leaves it its id: what the web layer plans with."""

from __future__ import annotations

import math

import pytest

from redisess_core import SessionLimitReached


@pytest.fixture(params=[None, 1000.0])
def limited(make_manager, clock, request):
    """A manager without a max lifetime, and one with."""
    return make_manager(clock=clock, max_lifetime=request.param, shards=4)


def create(manager, user_id=None, **options):
    token = manager.new_token(user_id)
    return manager.run(manager.plan_create(token, user_id, {}, **options))


def store(manager, session, **options):
    assert manager.run(
        manager.plan_store(session.session_id, {}, decode=lambda reply: reply[0] == b"stored", **options)
    )
    session.read()


def rotate(manager, session, token, user_id=None, **options):
    return manager.run(manager.plan_rotate(session, token, {}, user_id=user_id, **options))


def ends(manager, session):
    """Say when the session really ends: what this process knows, and what Redis says."""
    stored = manager.get(session.session_id, touch=False)
    assert stored.expires == session.expires
    return stored.expires - manager.clock()


def test_a_session_is_created_with_a_deadline_that_no_touch_moves(limited, clock):
    session = create(limited, "ada", ttl=0, deadline=clock() + 60)
    assert ends(limited, session) == 60
    clock.advance(59)
    assert limited.get(session.session_id)
    clock.advance(1)
    assert limited.get(session.session_id) is None
    assert limited.count() == 0


def test_a_deadline_is_given_and_taken_later(limited, clock):
    session = create(limited, "ada", ttl=500)
    store(limited, session, ttl=0, deadline=clock() + 60)
    assert ends(limited, session) == 60
    clock.advance(50)
    limited.get(session.session_id)
    store(limited, session, ttl=500, deadline=math.inf)
    assert ends(limited, session) == 500
    assert limited.wipe() == 0
    clock.advance(499)
    assert limited.get(session.session_id, touch=False)
    clock.advance(1)
    assert limited.count() == 0


def test_the_max_lifetime_is_over_all_the_same(make_manager, clock):
    manager = make_manager(clock=clock, max_lifetime=100)
    session = create(manager, "ada", ttl=0, deadline=clock() + 1000)
    assert ends(manager, session) == 100
    signed_in = rotate(manager, session, manager.new_token("bob"), "bob", deadline=clock() + 1000)
    assert ends(manager, signed_in) == 100
    assert ends(manager, rotate(manager, signed_in, manager.new_token("bob"))) == 100


def test_a_sign_in_keeps_a_deadline_that_it_is_given_and_else_begins_anew(limited, clock):
    session = create(limited, ttl=0, deadline=clock() + 60)
    clock.advance(10)
    token = limited.new_token("ada")  # of another shard or of the same
    signed_in = rotate(limited, session, token, "ada", deadline=clock() + 50)
    assert ends(limited, signed_in) == 50
    clock.advance(10)
    signed_in = rotate(limited, signed_in, limited.new_token("ada"), "ada", ttl=500, deadline=math.inf)
    assert ends(limited, signed_in) == 500


def test_a_deadline_that_is_over_is_no_session(limited, clock):
    for deadline in (clock() - 60, clock(), 0.0, -1.0):
        session = create(limited, "ada", ttl=0, deadline=deadline)
        assert not session.valid
        assert limited.get(session.session_id) is None
        assert limited.count() == limited.count_for_user("ada") == 0
        other = create(limited, "ada")
        store(limited, other, ttl=0, deadline=clock() + 5)
        limited.run(limited.plan_store(other.session_id, {}, deadline=deadline, decode=list))
        assert limited.get(other.session_id) is None
        assert limited.count() == 0


@pytest.mark.one_shard
def test_a_sign_in_may_leave_a_session_its_id(make_manager, clock, redis_client):
    manager = make_manager(clock=clock)
    session = create(manager, ttl=300)
    session.set("cart", "tea")
    clock.advance(10)
    signed_in = rotate(manager, session, session.token, "ada")
    assert (signed_in.session_id, signed_in.token, signed_in.user_id) == (session.session_id, session.token, "ada")
    assert signed_in.data == {"cart": "tea"}
    assert (signed_in.created, signed_in.authenticated_at) == (clock() - 10, clock())
    assert manager.get_user_sessions("ada") == [session.session_id]
    clock.advance(10)
    again = rotate(manager, signed_in, session.token, "bob")
    assert (again.authenticated_at, again.ttl) == (clock(), 300)
    assert (manager.get_all_users(), manager.count()) == (["bob"], 1)
    assert manager.kill_user("bob") == 1
    assert not redis_client.keys("*:s:*")


@pytest.mark.one_shard
def test_a_sign_in_under_the_same_id_counts_for_the_limit_once(make_manager, clock):
    manager = make_manager(clock=clock, max_sessions_per_user=1, on_limit="refuse")
    session = create(manager, "ada")
    assert rotate(manager, session, session.token, "ada").valid
    other = create(manager)
    with pytest.raises(SessionLimitReached):
        rotate(manager, other, other.token, "ada")
    assert manager.get(other.session_id).user_id is None
