"""The two label tokens that a PRM reads at the end of each step."""

from typing import Any

from mstar.errors import InvalidInput

_PAIRS = (("<good>", "<bad>"), ("+", "-"))


def label_token_ids(tokenizer: Any) -> tuple[int, int]:
    """Ids of the good and the bad label. Raises InvalidInput for a vocabulary that has neither pair.

    Which tokens the paper used is not known; `+` and `-` follow Math-Shepherd.
    """
    vocabulary = tokenizer.get_vocab()
    for good, bad in _PAIRS:
        if good in vocabulary and bad in vocabulary:
            return vocabulary[good], vocabulary[bad]
    raise InvalidInput("the tokenizer has neither <good>/<bad> nor +/- as single tokens", field="model")
