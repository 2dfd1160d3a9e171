"""Key-value cache of a decoding batch, in memory that is allocated once.

The growing cache of transformers copies everything at every token; this one writes one column. Rows that have finished
are removed from the batch in place.
"""

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache


class RowLayer(CacheLayerMixin):  # type: ignore[misc]
    """One layer: `keys` and `values` of shape [rows, key-value heads, capacity, head width], `length` columns used.

    With latent attention (DeepSeek-V2, arXiv 2405.04434) keys and values have different widths.
    """

    def __init__(self, rows: int, length: int, capacity: int, keys: torch.Tensor, values: torch.Tensor) -> None:
        """`keys` and `values` [any, key-value heads, any, head width] give the other sizes, type and device."""
        super().__init__()
        self.keys = keys.new_empty((rows, keys.shape[1], capacity, keys.shape[3]))
        self.values = values.new_empty((rows, values.shape[1], capacity, values.shape[3]))
        # Masked columns still enter the weighted sum with weight 0, and 0 times garbage may be NaN.
        self.keys[:, :, :length] = 0
        self.values[:, :, :length] = 0
        self.rows, self.length, self.capacity = rows, length, capacity
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns [rows, key-value heads, new, head width] and return all that are used, in the same layout."""
        end = self.length + key_states.shape[2]
        self.keys[: self.rows, :, self.length : end] = key_states
        self.values[: self.rows, :, self.length : end] = value_states
        self.length = end
        return self.keys[: self.rows, :, :end], self.values[: self.rows, :, :end]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the given rows, `rows` being increasing indices [kept]."""
        self.rows = len(rows)
        # Indexing copies before it writes, so a row may move onto one that is still needed.
        for buffer in (self.keys, self.values):
            buffer[: self.rows, :, : self.length] = buffer[rows, :, : self.length]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do for states [rows, key-value heads, new, head width]: the memory is there from the start."""

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns that a mask must cover, the new ones included, and the index of the first."""
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        """Columns in use."""
        return self.length

    def get_max_length(self) -> int:
        """Columns that fit."""
        return self.capacity


class RowCache(Cache):  # type: ignore[misc]
    """The cache of all layers of a batch, filled from prefill chunks."""

    def __init__(self, rows: int, length: int, capacity: int) -> None:
        """`length`: columns that prefill fills; `capacity`: with room for the sampled tokens."""
        super().__init__(layers=[])
        self._shape = (rows, length, capacity)
        self._length = length

    def place(self, chunk: Cache, start: int, sequences: torch.Tensor) -> None:
        """Copy `sequences` [new rows] of a prefill chunk to the rows from `start` on; an index may repeat.

        The last column of the chunk becomes column `length - 1`. Where the chunk is wider than `length`, its first
        columns, which must be padding, are left out.
        """
        for index, source in enumerate(chunk.layers):
            # Made on first use: only a prefilled layer knows its number of heads and its width.
            if index == len(self.layers):
                self.layers.append(RowLayer(*self._shape, source.keys, source.values))
            layer = self.layers[index]
            width = min(source.keys.shape[2], self._length)
            rows, columns = slice(start, start + len(sequences)), slice(self._length - width, self._length)
            layer.keys[rows, :, columns] = source.keys[sequences, :, -width:]
            layer.values[rows, :, columns] = source.values[sequences, :, -width:]

    def keep(self, rows: torch.Tensor) -> None:
        """Keep only the given rows in every layer, `rows` being increasing indices [kept]."""
        for layer in self.layers:
            layer.keep(rows)


def rows_of(cache: Cache, rows: torch.Tensor) -> DynamicCache:
    """Copy `rows` [copied] of a prefilled cache, in that order, for another forward pass to continue from."""
    copy = DynamicCache()
    # Indexing by a tensor copies, so what is appended later does not reach the source.
    for place, layer in enumerate(cache.layers):
        copy.update(layer.keys[rows], layer.values[rows], place)
    return copy


def only_columns(cache: Cache, columns: torch.Tensor) -> None:
    """Keep only the given columns [rows, kept] of each row, in that order."""
    index = columns[:, None, :, None]  # [rows, 1, kept, 1]
    for layer in cache.layers:
        layer.keys, layer.values = (kept.take_along_dim(index, dim=2) for kept in (layer.keys, layer.values))
