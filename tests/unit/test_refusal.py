"""What answers an error that reached no view."""

import pytest

from redisess_core import (
    NamespaceMismatch,
    RedisessError,
    SessionDataTooLarge,
    SessionGone,
    SessionLimitReached,
    StoreUnavailable,
    StoreUnsupported,
)
from redisess_core.web import refusal_of


class Away(StoreUnavailable):
    """An application's own."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (StoreUnavailable("away"), 503),
        (Away("away"), 503),
        (SessionLimitReached("ada", 3), 403),
        (SessionGone("id"), 401),
    ],
)
def test_a_client_is_told_by_a_status(error, status):
    refusal = refusal_of(error)
    assert refusal is not None
    assert refusal.status == status


def test_only_a_store_that_is_away_asks_to_come_again():
    refusals = [
        refusal_of(error) for error in (StoreUnavailable("x"), SessionLimitReached("ada", 3), SessionGone("id"))
    ]
    assert [refusal and refusal.retry_after for refusal in refusals] == [5, None, None]


@pytest.mark.parametrize("kind", [RedisessError, NamespaceMismatch, StoreUnsupported, SessionDataTooLarge, ValueError])
def test_what_is_the_programs_own_error_is_not_refused(kind):
    assert refusal_of(kind.__new__(kind)) is None
