"""Tokens and session ids: their form, where they lead, and that there is no way back."""

from __future__ import annotations

import hashlib
import itertools
import re

import pytest

from redisess_core import tokens
from redisess_core.tokens import (
    MAX_SHARDS,
    new_token,
    random_shard,
    session_id_of,
    session_shard,
    token_shard,
    user_shard,
)

TOKEN = "1aa" + "abcdefghijklmnopqrstuvwxyz"
SHARD_NAMES = {0: "aa", 1: "ab", 31: "a7", 32: "ba", 63: "b7", 1023: "77"}


def test_a_token_is_a_version_a_shard_and_26_characters_of_base32():
    for shard in (0, 1, 31, 32, 1023):
        token = new_token(shard)
        assert re.fullmatch(r"1[a-z2-7]{2}[a-z2-7]{26}", token)
        assert len(token) <= 40
        assert token_shard(token, MAX_SHARDS) == shard


def test_tokens_have_their_randomness_from_the_operating_system(monkeypatch):
    monkeypatch.setattr(tokens.secrets, "token_bytes", lambda count: bytes(range(count)))
    assert new_token(0) == new_token(0) == "1aaaaaqeayeaudaocajbifqydiob4"
    monkeypatch.setattr(tokens.secrets, "token_bytes", lambda count: b"\xff" * count)
    assert new_token(0) == "1aa" + "7" * 26


def test_a_token_has_more_than_128_random_bits():
    drawn = [new_token(0)[3:] for _ in range(2000)]
    assert len(set(drawn)) == 2000
    for place in range(26):
        assert {token[place] for token in drawn} == set(tokens.ALPHABET), place
    assert 26 * 5 >= 128


@pytest.mark.parametrize(("shard", "name"), SHARD_NAMES.items())
def test_a_shard_is_two_characters_of_token_and_id(shard, name):
    token = new_token(shard)
    assert token[1:3] == session_id_of(token)[1:3] == name
    assert token_shard(token, MAX_SHARDS) == session_shard(session_id_of(token), MAX_SHARDS) == shard


def test_every_shard_has_a_name_of_its_own():
    assert MAX_SHARDS == 1024
    assert len({new_token(shard)[1:3] for shard in range(MAX_SHARDS)}) == MAX_SHARDS
    with pytest.raises(KeyError):
        new_token(MAX_SHARDS)


def test_a_session_id_is_fixed_by_the_token_for_good():
    # Fixed: another answer would lose every session there is.
    assert session_id_of(TOKEN) == "saa" + hashlib.sha256(TOKEN.encode()).hexdigest()[:25]
    assert session_id_of(TOKEN) == "saa7a1fc004a0bff4aea6c85906f"


def test_a_session_id_has_another_form_than_a_token_and_shows_none_of_it():
    for _ in range(100):
        token = new_token(0)
        session_id = session_id_of(token)
        assert re.fullmatch(r"s[a-z2-7]{2}[0-9a-f]{25}", session_id)
        assert len(session_id) == tokens.SESSION_ID_LENGTH == 28
        assert token_shard(session_id, MAX_SHARDS) is None
        assert session_shard(token, MAX_SHARDS) is None
        assert token_shard("1" + session_id[1:], MAX_SHARDS) is None


def test_tokens_that_differ_anywhere_have_different_ids():
    others = [TOKEN[:place] + ("b" if TOKEN[place] != "b" else "c") + TOKEN[place + 1 :] for place in range(1, 29)]
    assert len({session_id_of(token) for token in [TOKEN, *others]}) == 29


MALFORMED = ["", "1", TOKEN[:-1], TOKEN + "a", "2" + TOKEN[1:], TOKEN.upper(), TOKEN[:-1] + "1", TOKEN[:-1] + "0"]
MALFORMED += [
    TOKEN + "\n",
    "\n" + TOKEN,
    " " + TOKEN,
    TOKEN[:-1] + " ",
    TOKEN[:-1] + "\0",
    TOKEN[:-1] + "é",
    "\u0661" + TOKEN[1:],  # a digit one of another script
]
MALFORMED += [TOKEN[:-1] + "\u017f", TOKEN[:-1] + "\udc80", "1aa" + "-" * 26, TOKEN * 1000]


@pytest.mark.parametrize("token", MALFORMED, ids=lambda token: repr(token)[-12:])
def test_what_has_not_the_form_of_a_token_has_no_shard(token):
    assert token_shard(token, MAX_SHARDS) is None


ID = session_id_of(TOKEN)
MALFORMED_IDS = ["", "s", ID[:-1], ID + "0", "t" + ID[1:], ID.upper(), ID[:-1] + "g", ID + "\n", ID[:-1] + "٣"]


@pytest.mark.parametrize("session_id", MALFORMED_IDS, ids=lambda session_id: repr(session_id)[-12:])
def test_what_has_not_the_form_of_a_session_id_has_no_shard(session_id):
    assert session_shard(session_id, MAX_SHARDS) is None


@pytest.mark.parametrize("shards", [1, 2, 8, 64, 1023, 1024])
def test_a_shard_out_of_range_is_none(shards):
    for shard, name in SHARD_NAMES.items():
        wanted = shard if shard < shards else None
        assert token_shard(f"1{name}" + "a" * 26, shards) == wanted
        assert session_shard(f"s{name}" + "0" * 25, shards) == wanted


def test_a_users_shard_is_fixed_for_good():
    for shards in (2, 8, 64, 1024):
        for user_id in (b"ada", "é".encode(), b"", bytes(256)):
            wanted = int(hashlib.sha256(user_id).hexdigest()[:16], 16) % shards
            assert user_shard(user_id, shards) == wanted
            assert user_shard(user_id, 1) == 0


def test_an_anonymous_session_is_put_into_any_shard():
    assert {random_shard(8) for _ in range(500)} == set(range(8))
    assert {random_shard(1) for _ in range(10)} == {0}


def test_the_alphabet_is_that_of_rfc_4648_in_lower_case():
    assert tokens.ALPHABET == "abcdefghijklmnopqrstuvwxyz234567"
    pairs = ["".join(pair) for pair in itertools.product(tokens.ALPHABET, repeat=2)]
    assert [new_token(shard)[1:3] for shard in range(MAX_SHARDS)] == pairs
