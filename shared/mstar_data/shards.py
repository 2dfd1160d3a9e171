"""Writes samples as Parquet shards of one schema with the images inside, so that `datasets` loads them as one set."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mstar.errors import InvalidDataset
from mstar_data.layouts import ExportLayout
from mstar_data.samples import ExportSample

ROWS_A_GROUP = 256
"""Rows of a Parquet row group: bounds the memory."""
SHARD_BYTES = 400_000_000
"""Of images and texts in a Parquet file, beyond which another begins."""


def write_shards(
    folder: Path, samples: Iterable[ExportSample], layout: ExportLayout, shard_bytes: int = SHARD_BYTES
) -> int:
    """Write the files below a new folder and return how many images are in them. Raises InvalidDataset."""
    folder.mkdir()
    paths: list[Path] = []
    images = 0
    for rows in _shards(samples, layout, shard_bytes):
        images += sum(len(row["images"]) for row in rows)
        paths.append(folder / f"train-{len(paths):05d}.parquet")
        _write_shard(paths[-1], rows, layout)
    for number, path in enumerate(paths):
        # The Hub's names say how many shards there are, which is known at the end.
        path.rename(path.with_name(f"train-{number:05d}-of-{len(paths):05d}.parquet"))
    return images


def _shards(samples: Iterable[ExportSample], layout: ExportLayout, shard_bytes: int) -> Iterator[list[dict[str, Any]]]:
    rows: list[dict[str, Any]] = []
    size = 0
    for sample in samples:
        # Texts count too: a set in words would else be one shard, whose rows are all in memory.
        size += sum(map(len, (*sample.images, sample.prompt, sample.response or "", *sample.steps)))
        rows.append(layout.row(sample, [{"bytes": data, "path": None} for data in sample.images]))
        if size > shard_bytes:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _write_shard(path: Path, rows: Sequence[Mapping[str, Any]], layout: ExportLayout) -> None:
    import pyarrow
    from pyarrow import parquet

    # Declared, never inferred from a shard's rows: one whose rows lack a column would have another schema.
    columns = layout.columns
    # `datasets` heeds what is declared only where the column has exactly the type of its images.
    images = {"images": {"feature": {"_type": "Image"}, "_type": "Sequence"}}
    features = {name: _feature(kind) for name, kind in columns.items()} | images
    schema = pyarrow.schema(
        [(name, _type(kind)) for name, kind in columns.items()],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    with parquet.ParquetWriter(path, schema) as writer:
        for start in range(0, len(rows), ROWS_A_GROUP):
            group = rows[start : start + ROWS_A_GROUP]
            values = [_values(name, kind, group) for name, kind in columns.items()]
            writer.write_table(pyarrow.Table.from_arrays(values, schema=schema))


def _values(name: str, kind: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
    """A column of the rows, null where a row has none. Raises InvalidDataset for a value of another type."""
    import pyarrow

    values = [row.get(name) for row in rows]
    if kind == "string":
        # A version or a record's number may be written as a number.
        values = [one if one is None or isinstance(one, str) else json.dumps(one) for one in values]
    try:
        return pyarrow.array(values, _type(kind))
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError, UnicodeEncodeError) as error:
        detail = f"column {name} takes {json.dumps(kind)}: {str(error)[:200]}"
        raise InvalidDataset(detail, field="source") from None


def _type(kind: Any) -> Any:
    """The Arrow type of a column, from its declaration in a layout."""
    import pyarrow

    if isinstance(kind, list):
        return pyarrow.list_(_type(kind[0]))
    if isinstance(kind, dict):
        return pyarrow.struct([(name, _type(inner)) for name, inner in kind.items()])
    # pyarrow has an alias for every name that `datasets` has.
    return pyarrow.type_for_alias(kind)


def _feature(kind: Any) -> Any:
    """How `datasets` declares such a column."""
    if isinstance(kind, list):
        inner = _feature(kind[0])
        return [inner] if isinstance(kind[0], dict) else {"feature": inner, "_type": "Sequence"}
    if isinstance(kind, dict):
        return {name: _feature(inner) for name, inner in kind.items()}
    return {"dtype": kind, "_type": "Value"}
