"""What a run has left, file by file, in a form in which two runs can be compared: without names, versions and times."""

import gzip
import re
from pathlib import Path

VOLATILE = re.compile(rb'"(?:seconds|created_at|updated_at)": ?[0-9.e+-]+|[0-9.]+ s<')
REPORTS = (".json", ".md", ".html", ".yaml")


def files_of(folder: Path) -> dict[str, bytes]:
    """Content by path: of artefacts, data sets, models and reports of the run whose folder it is.

    The run's id, digests in names of versions, digests of files that name the run, and seconds are blanked.
    """
    run = folder.name.encode()
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        if path.suffix in (*REPORTS, ".gz", ".jsonl") or path.name == "manifest.json":
            data = VOLATILE.sub(b"", data.replace(run, b"RUN"))
            data = re.sub(rb"@[0-9a-f]{12}", b"@", data)
        if path.name == "manifest.json":
            data = re.sub(rb'(blake3|sha256):[0-9a-f]{64}|"bytes":\d+', b"", data)
        found[path.relative_to(folder).as_posix()] = data
    return found
