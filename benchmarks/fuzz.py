"""Sends mutated input to what reads what strangers send: image gate, importer, answer check, manifest reader.

    python -m benchmarks.fuzz [--minutes 10] [--only answers] [--seed 1]

An input may be refused with an error of `mstar.errors`. Anything else that is raised, and an input that takes longer
than ten seconds of CPU, is a finding: it is written to `found/` in its target's folder of the corpus (tests/cases/fuzz)
and the command ends with 1. An input whose outcome was not seen before is kept in the corpus, which later runs begin
from and `tests/benchmarks/test_fuzz.py` replays.
"""

import argparse
import hashlib
import random
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from mstar.answers import AnswerPlace, AnswerRule, check
from mstar.errors import MstarError
from mstar.steps import ArtefactRef
from mstar.types import Answer, AnswerType
from mstar_artefacts.manifests import MANIFEST
from mstar_artefacts.store import ArtefactStore
from mstar_data.importing import import_source
from mstar_models.images import ImageGate

CORPUS = Path(__file__).parents[1] / "tests" / "cases" / "fuzz"
SLOW_SECONDS = 10.0
LARGEST = 64 * 1024
"""Bytes of an input: larger ones are refused by size, which other tests see to."""
KEPT_AT_MOST = 400
Target = Callable[[bytes], str]
"""Takes an input and says what came of it. Raises MstarError where it refuses."""
PIECES = (
    *(
        b"\x00",
        b"\xff",
        b"\n",
        b"{",
        b"}",
        b"[" * 500,
        b'"',
        b"\\u0000",
        b"null",
        b"-1",
        b"1e999",
        b"NaN",
        b"../",
        b"%",
    ),
    *(b"9" * 400, b"\xef\xbb\xbf", "é⅞²−".encode(), b"\\boxed{", b"## Answer\n\n", b"1/0", b"IHDR", b"IDAT", b"acTL"),
    *(b'{"sha256": "', b'"id": "', b'"images": [', b'"bytes": -1', b"a,b,c\n", b"=cmd|", b"\xe2\x80\xa8"),
)


def mutated(data: bytes, others: list[bytes], draw: random.Random) -> bytes:
    """An input that differs in one to eight places: bits, pieces of others, pieces that parsers stumble over."""
    found = bytearray(data)
    for _ in range(draw.randint(1, 8)):
        place = draw.randint(0, len(found))
        end = min(len(found), place + draw.choice((1, 2, 4, 16, 64)))
        match draw.randrange(6):
            case 0 if found:
                found[place % len(found)] ^= 1 << draw.randrange(8)
            case 1:
                del found[place:end]
            case 2:
                found[place:place] = found[place:end] * draw.choice((1, 2, 50))
            case 3:
                found[place:end] = draw.choice(PIECES)
            case 4:
                other = draw.choice(others)
                start = draw.randint(0, len(other))
                found[place:end] = other[start : start + draw.choice((8, 64, 512))]
            case _:
                found[place:place] = draw.randbytes(draw.choice((1, 4, 32)))
    return bytes(found[:LARGEST])


def outcome(target: Target, data: bytes) -> tuple[str, str | None]:
    """What came of an input in one line, and what is wrong with that; None where nothing is."""
    began = time.process_time()
    try:
        said = target(data)
    except MstarError as error:
        said = f"{error.code}: {error.detail}"
    # Whatever it is, it is a finding.
    except Exception as error:
        return f"{type(error).__name__}", f"{type(error).__name__}: {error}"[:500]
    seconds = time.process_time() - began
    # Paths, and what an error quotes of the input, make no other outcome.
    line = re.sub(r"/[^ :]+", "/", said)
    line = re.sub(r"'.*|\".*|[^ -~].*|[^a-zA-Z ,:;.-]+", "#", line)[:60]
    return line, f"took {seconds:.1f} s" if seconds > SLOW_SECONDS else None


def answers(data: bytes) -> str:
    """The answer check: the first byte says which type and place, a NUL parts the response from the reference."""
    kinds, places = list(AnswerType), list(AnswerPlace)
    choice = data[0] if data else 0
    text, _, gold = data[1:].decode("utf-8", "replace").partition("\x00")
    kind = kinds[choice % len(kinds)]
    choices = ("one", "two", gold[:20] or "three") if kind is AnswerType.CHOICE else ()
    answer = Answer(type=kind, value="B" if choices else gold[:200] or "3", choices=choices)
    return check(text, answer, AnswerRule(), places[choice // 16 % len(places)]).reason


def manifest(data: bytes, store: ArtefactStore) -> str:
    """A manifest whose hash is right, and the files that it lists."""
    folder = store.path("run/step")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.bin").write_bytes(b"x")
    (folder / MANIFEST).write_bytes(data)
    store.verify(ArtefactRef(id="run/step", sha256=hashlib.sha256(data).hexdigest()))
    return "verified"


def importer(data: bytes, folder: Path) -> str:
    """A file of records, whose first byte says of which kind; its image is beside it."""
    endings = ("jsonl", "json", "csv", "tsv", "parquet", "yaml")
    with tempfile.TemporaryDirectory(dir=folder) as work:
        source = Path(work) / "source"
        source.mkdir()
        (source / f"data.{endings[(data[0] if data else 0) % len(endings)]}").write_bytes(data[1:])
        import_source(source, Path(work) / "target", skip_bad=True)
    return "imported"


def images(data: bytes, gate: ImageGate) -> str:
    """A file that may be an image."""
    return f"{gate.decode(data).mode}"


@contextmanager
def targets() -> Iterator[Mapping[str, Target]]:
    """All targets, with what they need."""
    with tempfile.TemporaryDirectory() as folder:
        gate = ImageGate(children=1)
        try:
            yield {
                "answers": answers,
                "manifest": partial(manifest, store=ArtefactStore(Path(folder) / "store")),
                "importer": partial(importer, folder=Path(folder)),
                "images": partial(images, gate=gate),
            }
        finally:
            gate.close()


def corpus(name: str) -> list[bytes]:
    """What is kept for a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*.bin"))]


def fuzz(name: str, target: Target, seconds: float, draw: random.Random) -> tuple[int, int, list[str]]:
    """Inputs sent, inputs kept that are new, and findings."""
    pool = corpus(name) or [b"\x00"]
    known = [outcome(target, data) for data in pool]
    seen, findings = {line for line, _ in known}, [wrong for _, wrong in known if wrong is not None]
    folder, sent, kept = CORPUS / name, 0, 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutated(draw.choice(pool), pool, draw)
        line, wrong = outcome(target, data)
        sent += 1
        if wrong is not None and line not in seen:
            findings.append(wrong)
            _keep(folder / "found", data)
        elif line not in seen and len(pool) < KEPT_AT_MOST:
            pool.append(data)
            _keep(folder, data)
            kept += 1
        seen.add(line)
    return sent, kept, findings


def _keep(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{hashlib.sha256(data).hexdigest()[:16]}.bin").write_bytes(data)


def main() -> None:
    """Fuzz the targets one after the other; ends with 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each target")
    parser.add_argument("--only", action="append", choices=("answers", "manifest", "importer", "images"))
    parser.add_argument("--seed", type=int, default=None, help="default: another one each time")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else time.time_ns() % 2**31
    found = []
    with targets() as all_targets:
        for name, target in all_targets.items():
            if given.only and name not in given.only:
                continue
            sent, kept, findings = fuzz(name, target, 60 * given.minutes, random.Random(f"{seed} {name}"))
            print(f"{name}: {sent} inputs, {kept} kept, {len(findings)} findings (seed {seed})", flush=True)
            for one in findings:
                print(f"  {one}")
            found += findings
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
