"""The fuzzer's corpus is answered as it should be, and the fuzzer finds what it should."""

import random
from pathlib import Path

import pytest
from benchmarks import fuzz

from mstar.errors import InvalidInput
from mstar_artefacts.store import ArtefactStore


@pytest.mark.parametrize("name", ["answers", "manifest", "importer", "images"])
def test_what_was_kept_is_refused_or_taken_and_nothing_else(name: str) -> None:
    kept = fuzz.corpus(name)
    # Fewer of the slow ones: each has a process of its own, or reads a whole data set.
    kept = kept if name in ("answers", "manifest") else kept[::10]
    with fuzz.targets() as targets:
        found = [wrong for data in kept if (wrong := fuzz.outcome(targets[name], data)[1])]
    assert kept and found == []


def test_a_manifest_of_the_corpus_is_whole(tmp_path: Path) -> None:
    # Else every input would be refused at the first check.
    store = ArtefactStore(tmp_path)
    assert "verified" in {
        fuzz.outcome(lambda data: fuzz.manifest(data, store), one)[0] for one in fuzz.corpus("manifest")
    }


def test_a_fault_is_found() -> None:
    def faulty(data: bytes) -> str:
        if b"9" in data:
            raise KeyError("nine")
        if b"{" in data:
            raise InvalidInput("refused")
        return "taken"

    draw, pool = random.Random(1), [b"0"]
    outcomes = [fuzz.outcome(faulty, fuzz.mutated(b"0", pool, draw)) for _ in range(2000)]
    assert {wrong for _, wrong in outcomes} == {None, "KeyError: 'nine'"}
    assert {line for line, _ in outcomes} == {"taken", "invalid-input: refused", "KeyError"}
    assert all(len(fuzz.mutated(b"0" * fuzz.LARGEST, pool, draw)) <= fuzz.LARGEST for _ in range(20))
