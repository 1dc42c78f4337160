"""A session that is created once only, and one whose user signed in before it: what takes over from another store."""

from __future__ import annotations

import pytest

from redisess_core import SessionGone, SessionLimitReached


@pytest.fixture
def limited(make_manager, clock):
    return make_manager(clock=clock, max_lifetime=1000.0, shards=4, max_sessions_per_user=1, on_limit="refuse")


def create(manager, token, user_id="ada", **options):
    return manager.run(manager.plan_create(token, user_id, {}, **options))


def test_a_session_that_is_created_once_is_not_created_again_whatever_becomes_of_it(limited, redis_client):
    token = limited.new_token("ada")
    session = create(limited, token, once=60)
    with pytest.raises(SessionGone):
        create(limited, token, once=60)
    assert limited.count() == 1
    session.kill()
    with pytest.raises(SessionGone):
        create(limited, token, once=60)
    assert limited.count() == 0
    (said,) = [key for key in redis_client.scan_iter() if b":once:" in key]
    assert 50 < redis_client.ttl(said) <= 60
    assert token.encode() not in said
    redis_client.delete(said)  # as when its time is over
    assert create(limited, token, once=60).session_id == session.session_id


def test_a_session_that_the_limit_refused_may_be_created_later(limited):
    first, token = create(limited, limited.new_token("ada")), limited.new_token("ada")
    with pytest.raises(SessionLimitReached):
        create(limited, token, once=60)
    first.kill()
    assert create(limited, token, once=60).user_id == "ada"


@pytest.mark.parametrize(("given", "known"), [(0, 0), (12.5, 12.5)])
def test_a_user_may_have_signed_in_before(limited, given, known):
    session = create(limited, limited.new_token("ada"), authenticated_at=given)
    assert session.authenticated_at == known
    assert limited.get(session.session_id).authenticated_at == known
    assert session.expires <= limited.now() + 1000


def test_who_signed_in_before_and_nobody_knows_when_has_no_lifetime_from_then(make_manager, clock):
    manager = make_manager(clock=clock, shards=4)
    session = create(manager, manager.new_token("ada"), authenticated_at=0, ttl=0, deadline=clock() + 60)
    assert session.own_lifetime == 60
    clock.advance(10)
    rotated = manager.rotate(session, user_id="ada")
    assert rotated.authenticated_at == clock()
    assert rotated.expires == clock() + 60
    elsewhere = next(name for name in map(str, range(99)) if manager.new_token(name)[:3] != rotated.token[:3])
    session = create(manager, manager.new_token("ada"), authenticated_at=0, ttl=0, deadline=clock() + 60)
    assert manager.rotate(session, user_id=elsewhere).expires == clock() + 60
