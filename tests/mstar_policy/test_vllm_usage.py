"""What one request cost, from the statistics of its samples."""

import asyncio
from types import SimpleNamespace

from mstar_policy.vllm_usage import Ledger


def test_samples_of_a_request_are_summed_and_the_one_that_found_least_is_kept() -> None:
    ledger = Ledger()
    finished = [SimpleNamespace(request_id="a", num_prompt_tokens=40, num_cached_tokens=one) for one in (32, 16, 32)]
    with ledger.open("a", 3) as tally:
        assert tally.least_cached is None
        ledger.record(None, SimpleNamespace(finished_requests=finished))
        assert asyncio.run(tally.whole()) is tally
    assert (tally.computed, tally.least_cached) == (8 + 24 + 8, 16)
