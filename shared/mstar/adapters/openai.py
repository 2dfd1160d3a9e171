"""Best of n with the openai client: the model answers n times, and the PRM chooses.

    from openai import OpenAI
    from mstar import Client, Endpoint
    from mstar.adapters.openai import best_of_n

    policy, prm = OpenAI(base_url="http://127.0.0.1:8401/v1", api_key="none"), Client(Endpoint.from_environment())
    messages = [{"role": "user", "content": "What is 2 + 3?"}]
    best = best_of_n(policy, prm, messages, 8, model="mstar-policy")
    print(best.score, best.completion.choices[0].message.content)

Any server that speaks OpenAI's protocol will do for the answers. Images are parts of the message, as data URLs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from openai import OpenAI
from openai.types.chat import ChatCompletion

from mstar.adapters.questions import asked_of, scores
from mstar.client import Client
from mstar.reward import Aggregate


@dataclass(frozen=True)
class Best:
    """The answers, best first."""

    completion: ChatCompletion
    """As the server sent it, but for the order of its choices; their `index` is the one that they were sent with."""
    scores: tuple[float, ...]
    """Of the choices, in their order now; 0 for one without text."""

    @property
    def score(self) -> float:
        """Of the first choice."""
        return self.scores[0]


def best_of_n(
    policy: OpenAI,
    prm: Client,
    messages: Sequence[Mapping[str, Any]],
    n: int = 8,
    *,
    aggregate: Aggregate = Aggregate.MIN,
    **options: Any,
) -> Best:
    """Ask for n answers to one question and sort them by the PRM's score; among equals the first sent stays first.

    `options` go to `chat.completions.create`, such as `model`, `temperature` and `max_tokens`. Raises InvalidInput for
    a conversation of several turns or an image that is an address.
    """
    asked = asked_of(messages)
    # Messages are plain dictionaries here, of which the client's types want to know more.
    create: Any = policy.chat.completions.create
    completion: ChatCompletion = create(messages=list(messages), n=n, stream=False, **options)
    texts = [choice.message.content or "" for choice in completion.choices]
    found = scores(prm, [(asked, text) for text in texts], aggregate)
    reached = [0.0 if one is None or one.error is not None else one.score for one in found]
    # A stable sort, so that among equals the first that was sent stays first.
    order = sorted(range(len(texts)), key=lambda place: -reached[place])
    chosen = completion.model_copy(update={"choices": [completion.choices[place] for place in order]})
    return Best(chosen, tuple(reached[place] for place in order))
