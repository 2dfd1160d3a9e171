r"""The PRM as a process model of ms-swift's sampler.

    swift sample --sampler_type sample --model ./model --dataset data.jsonl --num_return_sequences 8 \
        --prm_model mstar --external_plugins "$(python -c 'import mstar.adapters.ms_swift as m; print(m.__file__)')"

Loading the file registers `mstar` among ms-swift's process models. Addresses and keys come from the environment, as
`Endpoint.from_environment` reads them.
"""

from collections.abc import Sequence
from typing import Any

from swift.rewards import PRM, prms

from mstar.adapters.questions import asked_of, scores, text_of
from mstar.client import Client, Endpoint


class MstarPrm(PRM):  # type: ignore[misc]
    """Scores of conversations whose last turn is the response, in [0, 1]."""

    def __init__(self, client: Client | None = None) -> None:
        """`client`: by default one of the environment's endpoint, since the sampler names none."""
        self._client = client or Client(Endpoint.from_environment())

    def __call__(self, infer_requests: Sequence[Any], **_: Any) -> list[float]:
        """As the sampler calls it. Raises what `Client.score` raises."""
        pairs = []
        for request in infer_requests:
            *before, said = request.messages
            pairs.append((asked_of(before, request.images), text_of(said["content"])))
        found = scores(self._client, pairs)
        return [0.0 if result is None or result.error is not None else result.score for result in found]


# A side effect of the import: --external_plugins only loads the file.
prms["mstar"] = MstarPrm
