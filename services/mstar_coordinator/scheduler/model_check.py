"""Checks a user's model folder before a run is started on it: configuration, tokenizer, processor, template, weights.

Needs no torch. What this leaves out, and the model services find when they load it: whether the tensors are those that
the architecture needs.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mstar.errors import InvalidInput
from mstar.layout import STEP_SEPARATOR
from mstar.model_files import source_name
from mstar.model_folder import (
    check_weights,
    lost_link,
    model_files,
    packed_tensor,
    read_json,
    separate_head,
    tensor_names,
)
from mstar.model_types import WITH_CODE, WITHOUT_TEMPLATE, type_problem
from mstar.prm_schemes import (
    DECLARATION,
    HEADS,
    KNOWN,
    OWN,
    LabelTokens,
    PrmScheme,
    Turns,
    is_head,
    own_scheme,
    scheme_of,
)
from mstar_coordinator.scheduler.template_check import template_of, template_problem

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tekken.json", "vocab.json", "spiece.model")
FEW_LAYERS = 200
"""Built without weights in seconds, so that the model's own names may tell what is wrong."""
TOKENIZER_CONFIG = "tokenizer_config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_SECTIONS = (
    "text_config", "llm_config", "vision_config", "rope_parameters", "rope_scaling", "quantization_config", "id2label",
)  # fmt: skip
_COUNTS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "vocab_size", "max_position_embeddings", "image_size", "patch_size",
)  # fmt: skip
_LANGUAGE = ("text_config", "llm_config")
_PACKED = ("quantization_config", "compression_config")
_TEXTS = ("model_type", "dtype", "torch_dtype", "hidden_act")
_DTYPES = ("auto", "float64", "float32", "float16", "bfloat16")
"""Types in which a model computes; weights of fewer bits say so in `quantization_config`."""
_JSONS = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "generation_config.json", "chat_template.json", "video_preprocessor_config.json",
)  # fmt: skip
_CLASSES = ("tokenizer_class", "processor_class", "image_processor_type", "feature_extractor_type")


def check_model(folder: Path, allowed: Collection[str] = ()) -> int:
    """Bytes of the weights. Raises InvalidInput for a folder that is not a whole model of a family that is known.

    `allowed`: types of model that the operator allows: code from a folder, and untried ones.
    """
    config = _check_config(folder)
    model_type = str(config["model_type"])
    if (problem := type_problem(model_type, allowed)) is not None:
        raise _refused(folder, problem)
    _check_trains(folder, config)
    _check_parts(folder, processor=True)
    _check_template(folder, model_type)
    _check_images(folder)
    model_files(folder)
    weights = check_weights(folder)
    _check_alone(folder)
    _check_plain(folder)
    _check_tied(folder, config)
    _check_layers(folder, config)
    return weights


def check_prm(folder: Path, *, trained: bool, allowed: Collection[str] = (), separator: str | None = None) -> int:
    """Bytes of the weights of a process reward model, or of a model to train one from; `allowed` as in `check_model`.

    `separator`: of the steps that it is to score as it is; None for any.
    Raises InvalidInput for a folder that is not whole, that does not say how its steps are scored, or, where it is to
    be trained, that our trainer makes no PRM from.
    """
    config = _check_config(folder)
    sees = _sees(config)
    if sees and (problem := type_problem(str(config["model_type"]), allowed)) is not None:
        raise _refused(folder, problem)
    vocabulary = _vocabulary(folder)
    scheme = OWN if trained else _scheme(folder, config, vocabulary)
    if trained:
        _check_trains(folder, config)
        _check_trainable(folder, config, vocabulary)
        require_labels(folder)
    _check_parts(folder, processor=sees)
    # A scheme that writes plain text needs no chat template.
    if scheme.plain is None:
        _check_template(folder, str(config["model_type"]), sees=sees)
    _check_head(folder, scheme)
    if separator is not None and not trained:
        _check_read(folder, scheme, separator)
    model_files(folder)
    weights = check_weights(folder)
    _check_alone(folder)
    if trained or not any(_packings(config)):
        _check_plain(folder)
    _check_tied(folder, config)
    _check_layers(folder, config)
    return weights


def _check_trains(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises InvalidInput for weights packed into fewer bits, which can be served and not trained."""
    for where, packed in _packings(config):
        kind = str(_mapping(packed).get("quant_method", "of no name"))[:32]
        raise _refused(
            folder,
            f"holds quantized weights, which cannot be trained ({where}, {kind}): take the folder of the same model "
            "with plain weights; train.lora.quantize packs those while they train",
        )


def _packings(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Where the configuration says that weights are packed, and how."""
    for name, part in [("", config), *((f" {name}", config.get(name)) for name in _SECTIONS)]:
        yield from ((f"{key} in config.json{name}", packed) for key in _PACKED if (packed := _mapping(part).get(key)))


def _check_alone(folder: Path) -> None:
    """Raises InvalidInput for an adapter beside the model, which a copy of the model's files would leave out."""
    if (folder / "adapter_config.json").exists():
        raise _refused(
            folder,
            "holds an adapter_config.json beside the model: merge the adapter into the weights, and remove that file",
        )


def _check_plain(folder: Path) -> None:
    """Raises InvalidInput for packed weights of which the configuration says nothing: they would be read as whole."""
    if (tensor := packed_tensor(folder)) is not None:
        raise _refused(
            folder,
            f"holds quantized weights, which cannot be trained ({tensor}), and config.json says nothing of it: take "
            "the folder of the same model with plain weights",
        )


def _check_tied(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises InvalidInput for a head of its own where the configuration ties it to the embeddings.

    transformers would take both then and vLLM the embeddings alone, so policy and trainer would have different models.
    """
    said = [_mapping(part).get("tie_word_embeddings") for part in (config, *(config.get(name) for name in _LANGUAGE))]
    if True in said and False not in said and (head := separate_head(folder)) is not None:
        raise _refused(
            folder,
            f"has an output head {head[:100]} other than the token embeddings, and tie_word_embeddings true in "
            "config.json: write false there if the head is meant, or leave that weight out",
        )


def _check_layers(folder: Path, config: Mapping[str, Any]) -> None:
    """Raises InvalidInput for more layers than the weights have tensors: to build millions of them takes hours."""
    tensors = len(tensor_names(folder))
    for where, part in [("config.json", config), *((f"config.json {name}", config.get(name)) for name in _SECTIONS)]:
        layers = _mapping(part).get("num_hidden_layers")
        if isinstance(layers, int) and layers > max(tensors, FEW_LAYERS):
            raise _refused(
                folder,
                f"has num_hidden_layers {layers} in {where}, and its weights are {tensors} tensors: take config.json "
                "and all weight files from one download or one save of the model",
            )


def _check_read(folder: Path, scheme: PrmScheme, separator: str) -> None:
    """Raises InvalidInput for a PRM that learned to read its labels behind another separator of steps."""
    # Every other scheme has text of its own behind a step.
    if not isinstance(scheme, LabelTokens) or scheme.step_tag is not None or scheme.step_separator == separator:
        return
    raise _refused(
        folder,
        f"was trained on steps with {scheme.step_separator!r} between them, and this run separates them by "
        f"{separator!r}: set prompt.step_separator to its own, or correct step_separator in its {DECLARATION}",
    )


def _scheme(folder: Path, config: Mapping[str, Any], vocabulary: Collection[str]) -> PrmScheme:
    declared = read_json(folder, DECLARATION) if (folder / DECLARATION).is_file() else None
    return scheme_of(f"model.base {folder.name[:64]!r}", config, declared, vocabulary, "model.base")


def _check_trainable(folder: Path, config: Mapping[str, Any], vocabulary: Collection[str]) -> None:
    """Our trainer reads label tokens at step ends of a vision-language model."""
    if not _sees(config):
        raise _refused(folder, "sees no images, and a PRM is trained on them: set prm.train to false, or name another")
    # A folder that declares no scheme is a plain model, which becomes a PRM of our own kind.
    said = (folder / DECLARATION).is_file() or any(name in KNOWN for name in config.get("architectures") or ())
    scheme = _scheme(folder, config, vocabulary) if said else OWN
    if not isinstance(scheme, LabelTokens) or scheme.step_tag is not None:
        raise _refused(
            folder,
            f"scores steps by {scheme.scheme} in a way that is not trained here: set prm.train to false to use it as "
            "it is, or name a plain vision-language model",
        )


def require_labels(folder: Path) -> None:
    """Raises InvalidInput for a tokenizer without the label tokens that our trainer needs.

    Only a tokenizer whose whole vocabulary is text can be looked at here; others are checked by the trainer.
    """
    if not _has(folder, "tokenizer.json"):
        return
    try:
        own_scheme(_vocabulary(folder))
    except InvalidInput:
        raise _refused(
            folder,
            "has neither <good>/<bad> nor +/- as tokens in tokenizer.json, of which a PRM learns one: add a pair, set "
            "prm.train to false with a PRM of its own, or leave the prm section out",
        ) from None


def check_separator(folder: Path, separator: str) -> None:
    """Raises InvalidInput for a separator of steps that the model never writes.

    Only a tokenizer whose whole vocabulary is text can be looked at; the others are left to the run's first responses.
    """
    if separator == STEP_SEPARATOR or not _has(folder, "tokenizer.json"):
        return
    tokenizer = read_json(folder, "tokenizer.json")
    added = [_mapping(one) for one in tokenizer.get("added_tokens") or ()]
    for one in added:
        content = str(one.get("content") or "")
        if one.get("special") and content and content in separator:
            raise _unwritable(folder, f"holds {content!r}, a special token, which is never sampled")
    decoder = _mapping(tokenizer.get("decoder"))
    kinds = {str(_mapping(one).get("type")) for one in (decoder, *(decoder.get("decoders") or ()))}
    if kinds & {"ByteLevel", "ByteFallback"}:
        return
    # What stands for a space in SentencePiece's vocabularies.
    letters = set("".join(_vocabulary(folder)).replace("\u2581", " "))
    for letter in separator:
        if letter not in letters:
            raise _unwritable(folder, f"holds {letter!r}, which no token spells")


def _unwritable(folder: Path, problem: str) -> InvalidInput:
    field = "prompt.step_separator"
    detail = f"{field} {problem} in tokenizer.json of {folder.name[:64]!r}: give another one"
    return InvalidInput(detail, field=field)


def _sees(config: Mapping[str, Any]) -> bool:
    """Whether a model takes images; the code of some says so, and their configuration does not."""
    return "vision_config" in config or config.get("model_type") in WITH_CODE


def _check_head(folder: Path, scheme: PrmScheme) -> None:
    if isinstance(scheme, LabelTokens | Turns) or any(map(is_head, tensor_names(folder))):
        return
    raise _refused(
        folder,
        f"has no head for the scheme {scheme.scheme}: no tensor is named {', '.join(HEADS)}; correct {DECLARATION}",
    )


def _vocabulary(folder: Path) -> set[str]:
    """Tokens that the tokenizer's JSON files name: all of them, or the added ones where the rest is binary."""
    added = read_json(folder, TOKENIZER_CONFIG).get("added_tokens_decoder") if _has(folder, TOKENIZER_CONFIG) else None
    found = {str(one.get("content")) for one in _mapping(added).values() if isinstance(one, Mapping)}
    if _has(folder, "tokenizer.json"):
        tokenizer = read_json(folder, "tokenizer.json")
        pieces = _mapping(tokenizer.get("model")).get("vocab")
        # Pairs of byte-pair encoding stand in an object, pieces of a unigram model in a list with their scores.
        found |= {str(piece[0] if isinstance(piece, list) and piece else piece) for piece in pieces or ()}
        found |= {str(_mapping(one).get("content")) for one in tokenizer.get("added_tokens") or ()}
    return found


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _check_config(folder: Path) -> dict[str, Any]:
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise _refused(folder, "is an adapter, not a model: merge it into its base model, and name that folder")
        if cached := sorted((folder / "snapshots").glob("*/config.json")):
            name = f"snapshots/{cached[-1].parent.name[:64]}"
            raise _refused(folder, f"is a folder of a hub's cache: name the model below it, {name}")
        raise _refused(folder, _without_config(folder))
    if lost := lost_link(folder):
        raise _refused(folder, lost)
    config = read_json(folder, "config.json")
    for problem in _wrong_types(config, "config.json"):
        raise _refused(folder, problem)
    if not config.get("model_type"):
        raise _refused(folder, "has no model_type in config.json")
    return config


def _without_config(folder: Path) -> str:
    """What is wrong with what is named as a model and has no configuration."""
    if folder.is_file():
        return "is a file: name the folder of the model, unpacked"
    if lost := lost_link(folder):
        return lost
    found = [*folder.glob("*/config.json"), *folder.glob("models--*/snapshots/*/config.json")]
    if found:
        # The newest: trainers leave a folder for each of their checkpoints.
        newest = max(found, key=lambda path: (path.stat().st_mtime, path))
        return f"has no config.json: name the model below it, {newest.parent.relative_to(folder)}"
    if any(folder.glob("consolidated*")):
        return "has no config.json, and weights for other programs: take the same model's folder for transformers"
    return "has no config.json"


def _check_parts(folder: Path, *, processor: bool) -> None:
    wanted = [(TOKENIZERS, "tokenizer"), *([(PROCESSORS, "image processor")] if processor else [])]
    for names, what in wanted:
        if not any((folder / name).is_file() for name in names):
            raise _refused(folder, f"has no {what}: add one of {', '.join(names)}")
    for name in _jsons(folder):
        found = read_json(folder, name)
        for key in _CLASSES:
            if found.get(key) is not None and not isinstance(found[key], str):
                raise _refused(folder, f"has {key} in {name}, which must be a text")


def _check_images(folder: Path) -> None:
    """Raises InvalidInput for a processor that does not say how images are prepared."""
    if not _has(folder, PROCESSORS[0]) and not _mapping(read_json(folder, PROCESSORS[1]).get("image_processor")):
        raise _refused(
            folder, f"has no {PROCESSORS[0]}, and no image_processor in {PROCESSORS[1]}: add one from the same model"
        )


def _check_template(folder: Path, model_type: str, *, sees: bool = True) -> None:
    """Raises InvalidInput for a template that is not there, or, for a model that sees images, drops them."""
    found = template_of(folder)
    if found is None:
        if model_type not in WITHOUT_TEMPLATE:
            raise _refused(folder, "has no chat template: add chat_template.jinja, as instruction-tuned models have it")
    # Where the code lies in the folder, a message is one text, in which our file writes the mark of the image.
    elif sees and model_type not in WITH_CODE and (problem := template_problem(folder, *found)) is not None:
        raise _refused(folder, problem)


def _jsons(folder: Path) -> Iterator[str]:
    return (name for name in (*PROCESSORS, *_JSONS) if (folder / name).is_file())


def _wrong_types(config: Mapping[str, Any], where: str) -> Iterator[str]:
    """Settings that every architecture reads and whose value has another type, which would end in a stack trace."""
    for name in _SECTIONS:
        part = config.get(name)
        if part is not None and not isinstance(part, Mapping):
            yield f"has {name} in {where}, which must be an object"
        elif part is not None:
            yield from _wrong_types(part, f"{where} {name}")
    for name in _COUNTS:
        value = config.get(name)
        numbers = value if isinstance(value, list) else [value]
        # `isinstance` would take true for 1.
        if value is not None and any(type(number) is not int or number < 1 for number in numbers):
            yield f"has {name} in {where}, which must be a whole number above 0"
    for name in _TEXTS:
        if config.get(name) is not None and not isinstance(config[name], str):
            yield f"has {name} in {where}, which must be a text"
        elif name.endswith("dtype") and config.get(name) and config[name] not in _DTYPES:
            yield f"has {name} {config[name][:32]!r} in {where}, which must be one of {', '.join(_DTYPES)}"


def _refused(folder: Path, problem: str) -> InvalidInput:
    return InvalidInput(f"model.base {source_name(str(folder))[:64]!r} {problem}", field="model.base")
