"""Tokens and session ids: the secret that a client carries, and the public handle that names its session.

A token is a version, two characters for the shard and 26 random ones (130 bits). A session id is the same shard
under another first character, and 25 hexadecimal digits (100 bits) of the token's SHA-256: it can be listed and logged,
leads nobody back to the token, and is no token itself.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"
MAX_SHARDS = len(ALPHABET) ** 2
SESSION_ID_LENGTH = 28
RANDOM_PART = 3  # where the part of a session id begins that differs within a shard

_VERSION = "1"
_SESSION = "s"
_RANDOM_LENGTH = 26
_SHARD_OF = {a + b: i * len(ALPHABET) + j for i, a in enumerate(ALPHABET) for j, b in enumerate(ALPHABET)}
_NAME_OF = {shard: name for name, shard in _SHARD_OF.items()}
_TOKEN = re.compile(rf"{_VERSION}[a-z2-7]{{{2 + _RANDOM_LENGTH}}}", re.ASCII)
_SESSION_ID = re.compile(rf"{_SESSION}[a-z2-7]{{2}}[0-9a-f]{{{SESSION_ID_LENGTH - 3}}}", re.ASCII)


def new_token(shard: int) -> str:
    """Make a token of *shard*, from the operating system's generator."""
    return token_of(shard, secrets.token_bytes(17))


def token_of(shard: int, secret: bytes) -> str:
    """Return the token of *shard* that *secret* makes: at least 17 bytes that nobody can guess."""
    random = base64.b32encode(secret).decode("ascii").lower()
    return _VERSION + _NAME_OF[shard] + random[:_RANDOM_LENGTH]


def session_id_of(token: str) -> str:
    """Derive the session id from *token*; there is no way back."""
    return _SESSION + token[1:3] + hashlib.sha256(token.encode("ascii")).hexdigest()[: SESSION_ID_LENGTH - 3]


def random_shard(shards: int) -> int:
    """Choose a shard for a session that is nobody's yet."""
    return secrets.randbelow(shards) if shards > 1 else 0


def user_shard(user_id: bytes, shards: int) -> int:
    """Choose the shard of a user: the same in every process and version."""
    if shards == 1:
        return 0
    return int.from_bytes(hashlib.sha256(user_id).digest()[:8], "big") % shards


def token_shard(token: str, shards: int) -> int | None:
    """Return the shard of *token*; None if it has not the form of one, or names a shard out of range."""
    if _TOKEN.fullmatch(token) is None:
        return None
    shard = _SHARD_OF[token[1:3]]
    return shard if shard < shards else None


def shard_of(session_id: str) -> int:
    """Return the shard of what is known to be a session id."""
    return _SHARD_OF[session_id[1:3]]


def session_shard(session_id: str, shards: int) -> int | None:
    """Return the shard of *session_id*; None if it has not the form of one, or names a shard out of range."""
    if _SESSION_ID.fullmatch(session_id) is None:
        return None
    shard = _SHARD_OF[session_id[1:3]]
    return shard if shard < shards else None
