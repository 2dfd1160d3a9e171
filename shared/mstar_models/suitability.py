"""What a model's attention allows: one tree of responses, one cache of keys and values for all rows, or neither.

Everything is read from the configuration and the signature of the forward pass when a model is loaded, so that a model
never gives wrong numbers. What is not allowed is done another way, slower: `layout` for PRM and trainer, the policy's
`hf_own_cache` for sampling. `docs/models.md` lists the outcome for each family.
"""

from collections.abc import Collection, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar_models.families import family_of
from mstar_models.remote_loading import read_config
from mstar_models.special_tokens import configured_ends, special_tokens

STATEFUL = frozenset({"linear_attention", "mamba", "recurrent", "conv", "hybrid"})
"""Kinds of layer that keep a running state instead of keys and values."""
AHEAD = "use_bidirectional_attention"
"""Setting of Gemma's families: which tokens see those after them."""
PLACEHOLDERS = ("image_token_id", "image_token_index", "video_token_id")
"""Settings with the ids of tokens in whose place features stand."""
FIXED_PLACES = "image_seq_len"
"""Attribute of the Idefics families' processors and models: tokens of an image, or of one of its tiles."""
PLACES_FROM = "image_size, patch_size and scale_factor (or resampler_n_latents)"
CODE = "its attention is in code from its folder"
_WINDOWS = {"sliding_attention": "sliding_window", "chunked_attention": "attention_chunk_size"}
"""Kind of layer → setting that says how many tokens it sees."""


def require_decoder(config: Any) -> None:
    """Raises InvalidInput for a model whose response is not the continuation of its prompt, token by token."""
    # PaliGemma says so too, and means its prompt.
    whole = any(getattr(part, AHEAD, None) in (True, "all") for part in (config, config.get_text_config()))
    if whole and family_of(config).sees_ahead != "prompt":
        raise InvalidInput(
            f"this model of type {config.model_type} lets every token see all others ({AHEAD} in config.json), "
            "as models of embeddings do; take one that writes text",
            field="model",
        )
    if config.is_encoder_decoder:
        raise InvalidInput(
            f"models of type {config.model_type} have an encoder for the prompt and a decoder for the response, "
            "which is not supported; take a decoder-only model, such as Qwen2.5-VL or InternVL",
            field="model",
        )


def require_fit(folder: Path, model: Any, processor: Any, used: Collection[int] = ()) -> None:
    """Raises InvalidInput for a processor that makes tokens or places of images that the model does not have.

    `used`: special tokens that prompts and responses hold.
    """
    weight = model.get_input_embeddings().weight
    # Under ZeRO 3 a rank's weights are empty between its passes, and DeepSpeed notes their whole shape here.
    require_rows(folder, int(getattr(weight, "ds_shape", weight.shape)[0]), model.config, processor, used)
    _require_places(folder, model, processor)


def require_configured(folder: Path, processor: Any, used: Collection[int] = ()) -> None:
    """What can be required of a model that another library loads: by its configuration, which that one goes by.

    Raises what `require_decoder` and `require_rows` raise.
    """
    config = read_config(folder)
    require_decoder(config)
    require_rows(folder, int(config.get_text_config().vocab_size), config, processor, used)


def require_rows(folder: Path, rows: int, config: Any, processor: Any, used: Collection[int] = ()) -> None:
    """Raises InvalidInput for a token beyond the model's rows that text, or one of `used`, can be.

    It would fail in the middle of a run, with the first question that holds it; on a GPU it ends the process.
    """
    tokenizer = processor.tokenizer
    # A tokenizer's class adds special tokens of its own, whatever the folder says, and no text becomes one of these.
    never = set(special_tokens(tokenizer).values()) - set(used)
    # Some families put features over their image token before they look up any row, and give it an id after all rows.
    spared = {getattr(config, name, None) for name in PLACEHOLDERS}
    beyond = (
        (place, token)
        for token, place in tokenizer.get_vocab().items()
        if place >= rows and place not in never and place not in spared
    )
    for place, token in sorted(beyond)[:1]:
        raise InvalidInput(
            f"the tokenizer of model folder {folder.name} has token {token[:64]!r} with id {place}, and the model has "
            f"rows for {rows} tokens (vocab_size in config.json): take tokenizer and weights from one model, or remove "
            "the tokens that were added",
            field="model",
        )
    for place in sorted(configured_ends(folder) or ()):
        if place >= rows:
            raise InvalidInput(
                f"eos_token_id {place} in generation_config.json of model folder {folder.name} is not a token of the "
                f"model, which has {rows}: give the id of the token that ends its answers",
                field="model",
            )


def require_room(folder: Path, model: Any, tokens: int) -> None:
    """Raises InvalidInput for a context that a prompt of `tokens`, a short question with a picture, fills alone."""
    context = int(model.config.get_text_config().max_position_embeddings)
    if tokens >= context:
        raise InvalidInput(
            f"model folder {folder.name} has a context of {context} tokens (max_position_embeddings in config.json), "
            f"and a short question with a small picture takes {tokens}: correct config.json, or take a model with room "
            "for prompt and response",
            field="model",
        )


def _require_places(folder: Path, model: Any, processor: Any) -> None:
    """Raises InvalidInput for a processor that makes more or fewer places for an image than the vision tower fills.

    Only for the families whose code does not compare the two: there features stand in wrong places without a word.
    """
    # A trunk without a head is the part itself.
    parts = (getattr(part, FIXED_PLACES, None) for part in (model, getattr(model, "model", None)))
    filled = next(filter(None, parts), None)
    if filled is None:
        return
    shown = getattr(getattr(processor, "image_processor", None), "max_image_size", None)
    side = shown.get("longest_edge") if isinstance(shown, Mapping) else None
    for made, wanted, ours, theirs in (
        (getattr(processor, FIXED_PLACES, None), filled, FIXED_PLACES, PLACES_FROM),
        (
            side,
            model.config.vision_config.image_size,
            "max_image_size of the image processor",
            "image_size of vision_config",
        ),
    ):
        if made is not None and made != wanted:
            raise InvalidInput(
                f"model folder {folder.name} prepares images for another vision tower than it has: {ours} is {made}, "
                f"and {theirs} in config.json give {wanted}: take all files from one model",
                field="model",
            )


def packing_obstacle(model: Any) -> str | None:
    """Why the numbers of responses would be others in one tree; None: they are the same.

    transformers uses a ready mask as it is in every layer: what a layer takes away from a causal mask of its own, or
    adds to it, must be in the tree's mask (`layout`), or would be lost without a word.
    """
    config, text = model.config, model.config.get_text_config()
    if family_of(config).remote is not None:
        return CODE
    if unknown := sorted(_kinds(text) - _WINDOWS.keys() - {"full_attention"}):
        return f"it has layers of kind {', '.join(unknown)}"
    ahead = looks_ahead(config)
    # A forward pass that takes token types lets tokens of one type see each other.
    asked = "token_type_ids" in signature(model.base_model.forward).parameters
    if (ahead or asked) and family_of(config).sees_ahead is None:
        return "tokens of its prompt or image see later ones"
    window = _narrowest(text, _kinds(text))
    # A window as wide as the context leaves nothing out.
    if window is not None and window < text.max_position_embeddings and not _takes_windows(model):
        return "some layers see a window only"
    return None


def looks_ahead(config: Any) -> bool:
    """Whether the configuration says that tokens of an image see each other."""
    return any(getattr(part, AHEAD, None) for part in (config, config.get_text_config()))


def windows(model: Any) -> dict[str, int]:
    """Kind of layer → how many tokens it sees, of those that see less than the context; empty: all see everything.

    The kind is "" where all layers are of one kind and the configuration does not name it.
    """
    text = model.config.get_text_config()
    kinds = _kinds(text)
    settings = {kind: _WINDOWS[kind] for kind in kinds & _WINDOWS.keys()} if kinds else {"": "sliding_window"}
    found = {kind: getattr(text, name, None) for kind, name in settings.items()}
    return {kind: width for kind, width in found.items() if width and width < text.max_position_embeddings}


def _takes_windows(model: Any) -> bool:
    """Whether a tree's mask can be given for each kind of layer.

    Not where windows count something else than places in the sequence (chunks, M-RoPE), nor with PaliGemma 2, which
    makes the masks of its language model itself.
    """
    chunks = "chunked_attention" in _kinds(model.config.get_text_config())
    return not chunks and not hasattr(model.model, "get_rope_index") and model.config.model_type != "paligemma"


def _kinds(text: Any) -> set[str]:
    return set(getattr(text, "layer_types", None) or ())


def _narrowest(text: Any, kinds: set[str]) -> int | None:
    """How many tokens the layer sees that sees the fewest; None: all of them."""
    settings = [_WINDOWS[kind] for kind in kinds & _WINDOWS.keys()] if kinds else ["sliding_window"]
    return min((width for name in settings if (width := getattr(text, name, None)) is not None), default=None)


def row_cache_obstacle(model: Any) -> str | None:
    """Why rows of different lengths cannot be decoded over one cache of keys and values; None: they can.

    A window is an obstacle, too: the cache keeps every column, and the mask that goes with it is the same in every
    layer.
    """
    text = model.config.get_text_config()
    kinds = _kinds(text)
    if family_of(model.config).remote is not None:
        return CODE
    if getattr(text, "cross_attention_layers", None):
        return "its images are not part of the text's sequence"
    if stateful := sorted(STATEFUL & kinds):
        return f"its layers of kind {', '.join(stateful)} keep no keys and values"
    if unknown := sorted(kinds - _WINDOWS.keys() - {"full_attention"}):
        return f"what its layers of kind {', '.join(unknown)} keep is not known"
    window = _narrowest(text, kinds)
    if window is not None and window < text.max_position_embeddings:
        return "some layers see a window only"
    return None
