"""A number and its noun."""

from __future__ import annotations

import pytest

from redisess_core.wording import counted


@pytest.mark.parametrize(("number", "said"), [(0, "0 users"), (1, "1 user"), (2, "2 users"), (21, "21 users")])
def test_only_one_is_singular(number, said):
    assert counted(number, "user") == said


@pytest.mark.parametrize(("number", "said"), [(0, "0 entries"), (1, "1 entry"), (2, "2 entries")])
def test_a_noun_takes_its_own_plural(number, said):
    assert counted(number, "entry") == said
