"""Reranking and scoring bodies of other servers: Cohere and Jina's rerank, vLLM's score and pooling.

Each body turns into `ScoreRequest`s: a query with its images becomes a question, documents become its responses.
Options that the service lacks are refused by name. What this leaves out: scoring, and answers
(`mstar_prm.client_shapes`).
"""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, RootModel, Tag, model_validator

from mstar.api.cache_control import CacheControl
from mstar.api.images import ImageInput, ImageInputs, image_of_data_url
from mstar.api.prm import MAX_CHARACTERS, Candidate, RerankRequest, ScoreRequest
from mstar.errors import InvalidInput
from mstar.types import FIRST_BAD_ENDS, MAX_IMAGES, Frozen

MAX_DOCUMENTS = 256
MAX_SYSTEM = 4096


class ImageUrl(Frozen):
    """The address of an image part. Only data URLs are accepted."""

    url: str
    detail: str | None = None


class Part(Frozen):
    """One part of a text with images, as in chat messages."""

    type: Literal["text", "image_url"]
    text: str | None = None
    image_url: ImageUrl | None = None
    cache_control: CacheControl | None = None
    """Accepted without effect."""

    @model_validator(mode="after")
    def _one(self) -> "Part":
        given = self.text if self.type == "text" else self.image_url
        if given is None or (self.text is not None and self.image_url is not None):
            raise ValueError(f"a part of the type {self.type} must have {self.type}, and nothing else")
        return self


class Content(Frozen):
    """A query or a document: a string, `{"text": …}`, a list of parts, or `{"content": parts}`."""

    content: Annotated[list[Part], FIRST_BAD_ENDS] = Field(max_length=64)

    @model_validator(mode="before")
    @classmethod
    def _spelled_out(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"content": [{"type": "text", "text": value}]}
        if isinstance(value, dict) and set(value) == {"text"}:
            return {"content": [{"type": "text", **value}]}
        return {"content": value} if isinstance(value, list) else value

    @property
    def text(self) -> str:
        """Its text parts, a line each."""
        return "\n".join(part.text for part in self.content if part.text is not None)

    @property
    def urls(self) -> list[str]:
        """The addresses of its images."""
        return [part.image_url.url for part in self.content if part.image_url is not None]


def _listed(value: Any) -> Any:
    # A list is several items, or one item of several parts; only parts are objects with a `type`.
    return value if isinstance(value, list) and not _is_parts(value) else [value]


def _is_parts(value: list[Any]) -> bool:
    return bool(value) and all(isinstance(item, dict) and "type" in item for item in value)


def question_of(query: Content, field: str, images: tuple[ImageInput, ...] = ()) -> tuple[str, tuple[ImageInput, ...]]:
    """Question and images of a query, either as its parts or `images` that were sent beside it.

    Raises InvalidInput naming the field, InvalidImage for a bad data URL.
    """
    text = query.text.strip()
    if not text or len(text) > 32_768:
        raise InvalidInput(f"{field}: the question must have 1 to 32,768 characters", field=field)
    if images and query.urls:
        raise InvalidInput(f"{field}: send images as parts of the query or in `images`, not both", field=field)
    if len(query.urls) > MAX_IMAGES:
        sent = len(query.urls)
        raise InvalidInput(f"{field}: {sent} images were sent; at most {MAX_IMAGES} are accepted", field=field)
    # Data URLs only: `image_of_data_url` refuses addresses, and nothing here opens one.
    return text, images or tuple(image_of_data_url(url, field) for url in query.urls)


def candidates_of(documents: list[Content], field: str) -> tuple[Candidate, ...]:
    """Documents as responses. Raises InvalidInput for the first that is empty, too long, or has an image."""
    for place, document in enumerate(documents):
        where = f"{field}.{place}"
        if document.urls:
            raise InvalidInput(f"{where}: a document must be text; the image belongs to the query", field=where)
        if not document.text.strip() or len(document.text) > 262_144:
            raise InvalidInput(f"{where}: a document must have 1 to 262,144 characters", field=where)
    if sum(len(document.text) for document in documents) > MAX_CHARACTERS:
        raise InvalidInput(f"{field}: at most {MAX_CHARACTERS} characters fit in a request", field=field)
    return tuple(Candidate(text=document.text) for document in documents)


class RankRequest(Frozen):
    """Cohere's, Jina's and vLLM's `POST /rerank`."""

    model: str | None = Field(default=None, max_length=500)
    query: Content
    images: ImageInputs = ()
    """Ours: the images, for clients whose query can only be a string."""
    documents: Annotated[list[Content], FIRST_BAD_ENDS] = Field(min_length=1, max_length=MAX_DOCUMENTS)
    top_n: int | None = Field(default=None, ge=0)
    """How many results to return; all with 0, as in vLLM."""
    return_documents: bool | None = None
    max_tokens_per_doc: int | None = Field(default=None, ge=1)
    """Cohere's: where it cuts a longer document. Nothing is cut here, so it is refused where it would cut one."""
    priority: int | None = Field(default=None, ge=0, le=999)
    """Cohere's: accepted without effect, requests come in the order of their callers."""
    user: str | None = Field(default=None, max_length=500)
    """vLLM's: accepted without effect."""

    def request(self) -> ScoreRequest:
        """The same as our own body. Raises InvalidInput."""
        self._require_whole()
        question, images = question_of(self.query, "query", self.images)
        return ScoreRequest(question=question, images=images, responses=candidates_of(self.documents, "documents"))

    def _require_whole(self) -> None:
        """Raises InvalidInput where `max_tokens_per_doc` could cut a document, whose steps are scored as a whole."""
        for place, document in enumerate(self.documents):
            # A token has at least one byte, and a tokenizer may put one space in front.
            most = len(document.text.encode(errors="replace")) + 1
            if self.max_tokens_per_doc is not None and most > self.max_tokens_per_doc:
                detail = (
                    f"max_tokens_per_doc: documents.{place} may have up to {most} tokens, and documents are never cut "
                    "here: leave it out, or send a greater one"
                )
                raise InvalidInput(detail, field="max_tokens_per_doc")


PAIRS = (("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2"))
"""Names of the two sides in vLLM 0.32's score bodies."""


class PairsRequest(Frozen):
    """vLLM's `POST /score`, whose two sides have four pairs of names; one query goes with all documents."""

    model: str | None = Field(default=None, max_length=500)
    queries: Annotated[list[Content], FIRST_BAD_ENDS] = Field(min_length=1, max_length=MAX_DOCUMENTS)
    documents: Annotated[list[Content], FIRST_BAD_ENDS] = Field(min_length=1, max_length=MAX_DOCUMENTS)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        for left, right in PAIRS:
            if left in value and right in value:
                rest = {name: item for name, item in value.items() if name not in (left, right)}
                return {**rest, "queries": _listed(value[left]), "documents": _listed(value[right])}
        return value

    @model_validator(mode="after")
    def _paired(self) -> "PairsRequest":
        if len(self.queries) not in (1, len(self.documents)):
            raise ValueError("send one query, or as many queries as documents")
        return self

    def requests(self) -> list[ScoreRequest]:
        """One request for a single query with all documents, else one for each pair. Raises InvalidInput."""
        responses = candidates_of(self.documents, "documents")
        asked = [question_of(query, f"queries.{place}") for place, query in enumerate(self.queries)]
        groups = [responses] if len(asked) == 1 else [(response,) for response in responses]
        return [
            ScoreRequest(question=question, images=images, responses=group)
            for (question, images), group in zip(asked, groups, strict=True)
        ]


class Message(Frozen):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: Content


class PoolingRequest(Frozen):
    """vLLM's `POST /pooling` with a conversation: a question with its images, and the answer whose steps are scored."""

    model: str | None = Field(default=None, max_length=500)
    messages: Annotated[list[Message], FIRST_BAD_ENDS] = Field(min_length=2, max_length=3)
    """A system message may come first; then the user's and the assistant's."""
    task: Literal["token_classify"] | None = None
    encoding_format: Literal["float"] = "float"
    use_activation: Literal[True] | None = None
    add_generation_prompt: Literal[False] = False
    user: str | None = Field(default=None, max_length=500)

    @model_validator(mode="before")
    @classmethod
    def _no_prompt(cls, value: Any) -> Any:
        if isinstance(value, dict) and "input" in value and "messages" not in value:
            raise ValueError("input is a prompt without an image: send messages, the user's and the assistant's")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> "PoolingRequest":
        roles = [message.role for message in self.messages]
        if roles not in (["user", "assistant"], ["system", "user", "assistant"]):
            raise ValueError("messages must be user and assistant, or system, user and assistant")
        return self

    def request(self) -> ScoreRequest:
        """The same as our own body. Raises InvalidInput."""
        *before, asked, said = self.messages
        question, images = question_of(asked.content, "messages")
        system = before[0].content.text if before else ""
        if len(system) > MAX_SYSTEM:
            raise InvalidInput(f"messages: the system text must have at most {MAX_SYSTEM} characters", field="messages")
        responses = candidates_of([said.content], "messages")
        return ScoreRequest(question=question, images=images, responses=responses, system=system)


def _shape(value: Any) -> str:
    """Which body this is: another server's has a query; without any such field it is judged as our own."""
    if isinstance(value, RankRequest | PairsRequest):
        return "shape:client"
    # By the keys of the body alone, so that an error names the fields of the shape that the client meant.
    names = {"query", *(name for pair in PAIRS for name in pair)}
    return "shape:client" if isinstance(value, dict) and names & set(value) else "shape:own"


class AnyRerank(
    RootModel[
        Annotated[
            Annotated[RerankRequest, Tag("shape:own")] | Annotated[RankRequest, Tag("shape:client")],
            Discriminator(_shape),
        ]
    ]
):
    """`POST /v1/rerank`, told apart by `query`."""


class AnyScore(
    RootModel[
        Annotated[
            Annotated[ScoreRequest, Tag("shape:own")] | Annotated[PairsRequest, Tag("shape:client")],
            Discriminator(_shape),
        ]
    ]
):
    """`POST /v1/score`, told apart by the names of vLLM's two sides."""


class AnyPooling(
    RootModel[
        Annotated[
            Annotated[PoolingRequest, Tag("shape:own")] | Annotated[PairsRequest, Tag("shape:client")],
            Discriminator(_shape),
        ]
    ]
):
    """`POST /pooling`, told apart by the names of two sides."""


class RankedDocument(Frozen):
    """A document as it was sent."""

    text: str


class Ranked(Frozen):
    """One document's place in the order."""

    index: int
    relevance_score: float
    document: RankedDocument | None = None


class ScoringUsage(Frozen):
    """Tokens of a request as vLLM counts them: the prompt anew with each response."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int = 0


class RankReply(Frozen):
    """Answer to `RankRequest`, best first."""

    id: str
    model: str
    results: list[Ranked]
    usage: ScoringUsage


class PairScore(Frozen):
    """Score of one pair."""

    index: int
    object: Literal["score"] = "score"
    score: float


class PairsReply(Frozen):
    """Answer to `PairsRequest`, in its order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    """Unix seconds."""
    model: str
    data: list[PairScore]
    usage: ScoringUsage


class Pooled(Frozen):
    """Step scores of one document."""

    index: int
    object: Literal["pooling"] = "pooling"
    data: list[tuple[float, float]]
    """For each step the probabilities of the classes bad and good."""


class PoolingReply(Frozen):
    """Answer of `POST /pooling`, in the order of the request."""

    id: str
    object: Literal["list"] = "list"
    created: int
    """Unix seconds."""
    model: str
    data: list[Pooled]
    usage: ScoringUsage
