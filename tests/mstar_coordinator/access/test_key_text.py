"""How keys look and how they are kept."""

import re

import pytest

from mstar.api.keys import KEY_TEXT
from mstar_coordinator.access.key_text import hashed, id_of, matches, new_key

KEY, _ = new_key(lambda count: bytes(range(count)))


def test_a_key_shows_its_id_and_no_two_are_alike() -> None:
    import secrets

    keys = [new_key(secrets.token_bytes) for _ in range(100)]
    assert all(re.fullmatch(KEY_TEXT, key) and id_of(key) == key_id for key, key_id in keys)
    assert len({key for key, _ in keys}) == len({key_id for _, key_id in keys}) == 100


def test_only_the_key_itself_matches_what_is_kept_of_it() -> None:
    kept = hashed(KEY, b"s" * 16)
    assert KEY not in kept and KEY[19:] not in kept
    assert matches(KEY, kept)
    assert not matches(KEY[:-1] + "x", kept)
    assert hashed(KEY, b"t" * 16) != kept


def test_a_hash_keeps_the_work_factors_that_it_was_made_with() -> None:
    name, log2_n, r, p, *_ = hashed(KEY, b"s" * 16).split("$")
    assert (name, int(log2_n), int(r), int(p)) == ("scrypt", 12, 8, 1)
    weaker = "scrypt$4$8$1$c2FsdA==$" + "A" * 44
    assert not matches(KEY, weaker)


@pytest.mark.parametrize(
    "text", ["", KEY[:-1], KEY + "=", f" {KEY}", KEY.replace("mstar", "MSTAR"), "mstar_" + "a" * 12]
)
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert id_of(text) is None
