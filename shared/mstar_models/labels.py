"""The two label tokens that a PRM reads at the end of each step."""

from typing import Any

from mstar.prm_schemes import own_scheme


def label_token_ids(tokenizer: Any) -> tuple[int, int]:
    """Ids of the good and the bad label. Raises InvalidInput for a vocabulary that has neither pair.

    Which tokens the paper used is not known; `+` and `-` follow Math-Shepherd.
    """
    vocabulary = tokenizer.get_vocab()
    scheme = own_scheme(vocabulary)
    return vocabulary[scheme.good], vocabulary[scheme.bad]
