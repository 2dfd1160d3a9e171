"""How keys are made, and how they are kept: the id in the open, the secret as a scrypt hash (RFC 7914)."""

import base64
import hashlib
import hmac
import re
from collections.abc import Callable

from mstar.api.keys import KEY_TEXT

LOG2_N, R, P = 12, 8, 1
"""Work factors: 4 MB and some 10 ms a hash, since the secret is random and not a word that a person chose. Each hash
names its own, so that they may be raised later."""
ID_BYTES, SECRET_BYTES, SALT_BYTES = 8, 32, 16
ID_CHARACTERS = 12

_KEY = re.compile(KEY_TEXT)


def new_key(random: Callable[[int], bytes]) -> tuple[str, str]:
    """A key and its id, from a source of random bytes."""
    # Base 32 has no underscore, which separates the parts.
    key_id = base64.b32encode(random(ID_BYTES)).decode().lower()[:ID_CHARACTERS]
    secret = base64.urlsafe_b64encode(random(SECRET_BYTES)).decode().rstrip("=")
    return f"mstar_{key_id}_{secret}", key_id


def id_of(key: str) -> str | None:
    """The public id of what looks like a key; None for anything else."""
    return key[6 : 6 + ID_CHARACTERS] if _KEY.fullmatch(key) else None


def hashed(key: str, salt: bytes) -> str:
    """What the database keeps of a key: `scrypt$log2(n)$r$p$salt$hash`, the last two in base64."""
    return _text(key, salt, LOG2_N, R, P)


def matches(key: str, kept: str) -> bool:
    """Whether a key is the one that was hashed. Takes as long for a wrong one."""
    _, log2_n, r, p, salt, _ = kept.split("$")
    return hmac.compare_digest(_text(key, base64.b64decode(salt), int(log2_n), int(r), int(p)), kept)


def _text(key: str, salt: bytes, log2_n: int, r: int, p: int) -> str:
    n = 2**log2_n
    # scrypt needs 128 · n · r bytes; OpenSSL refuses above `maxmem`, whose default is 32 MB whatever the factors are.
    digest = hashlib.scrypt(key.encode(), salt=salt, n=n, r=r, p=p, maxmem=256 * n * r, dklen=32)
    return "$".join(
        ("scrypt", str(log2_n), str(r), str(p), *(base64.b64encode(one).decode() for one in (salt, digest)))
    )
