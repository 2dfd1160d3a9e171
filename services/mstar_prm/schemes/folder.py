"""A PRM from its folder: the scheme that it declares, its trunk or model, its tokenizer and its head."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from transformers import AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from mstar import prm_schemes
from mstar.errors import InvalidInput
from mstar.prm_schemes import DECLARATION, PrmScheme, own_scheme, scheme_of
from mstar_models.encoding import PromptEncoder
from mstar_models.families import remote_family
from mstar_models.image_places import require_marked_images
from mstar_models.loading import load_model, load_processor, read_object, require_files, translated
from mstar_models.suitability import require_fit
from mstar_prm.schemes.conversation import Conversation
from mstar_prm.schemes.heads import read_head
from mstar_prm.schemes.interface import Scheme
from mstar_prm.schemes.label_tokens import LabelTokens, TaggedLabels
from mstar_prm.schemes.step_token import StepToken
from mstar_prm.schemes.text_only import TextProcessor
from mstar_prm.schemes.turns import Turns
from mstar_prm.schemes.value_head import ValueHead


def load_prm(
    folder: Path, options: Mapping[str, Any] = MappingProxyType({}), *, base: bool = False
) -> tuple[Any, Scheme]:
    """The model, in evaluation mode and on the CPU, and its scheme. Raises InvalidInput, which says what is missing.

    `options`: as in `load_model`. `base`: a folder without a scheme gets that of the PRM that is trained on it.
    """
    # The scheme first: to refuse a folder for it takes no weights.
    config = read_object(folder, "config.json")
    # Code from a folder writes its configuration as it pleases; those families all see.
    sees = "vision_config" in config or remote_family(config.get("model_type")) is not None
    processor = load_processor(folder) if sees else _text_processor(folder)
    declared = declared_scheme(folder, processor.tokenizer, base=base)
    prompts = PromptEncoder(processor)

    def loaded(kind: Any) -> Any:
        model = load_model(folder, kind=kind, options=options)
        require_fit(folder, model, processor)
        if sees:
            require_marked_images(folder, processor)
        return model

    if isinstance(declared, prm_schemes.LabelTokens) and declared.step_tag is None:
        own = LabelTokens(prompts, (declared.good, declared.bad), declared.step_separator)
        return loaded(_with_head(sees=sees)), own
    # Labels at step ends need no text of their own around the steps; every other scheme does.
    conversation = Conversation(prompts, declared, images=sees)
    if isinstance(declared, prm_schemes.LabelTokens | prm_schemes.Turns):
        by_words: Scheme = (
            Turns(conversation, declared)
            if isinstance(declared, prm_schemes.Turns)
            else TaggedLabels(conversation, declared)
        )
        return loaded(_with_head(sees=sees)), by_words
    # transformers' own classes for token classification know one linear layer, and none of a vision-language model.
    model = loaded(AutoModel)
    hidden = int(model.config.get_text_config().hidden_size)
    if isinstance(declared, prm_schemes.StepToken):
        return model, StepToken(conversation, declared, read_head(folder, hidden, StepToken.CLASSES))
    return model, ValueHead(conversation, declared, read_head(folder, hidden, ValueHead.CLASSES))


def declared_scheme(folder: Path, tokenizer: Any, *, base: bool = False) -> PrmScheme:
    """The scheme that a folder declares, or is known to have; `base` as in `load_prm`. Raises InvalidInput."""
    config = read_object(folder, "config.json")
    declared = read_object(folder, DECLARATION) if (folder / DECLARATION).is_file() else None
    try:
        return scheme_of(f"model folder {folder.name}", config, declared, tokenizer.get_vocab(), "model")
    except InvalidInput:
        if declared is not None or not base:
            raise
    return own_scheme(tokenizer.get_vocab())


def _with_head(*, sees: bool) -> Any:
    return AutoModelForImageTextToText if sees else AutoModelForCausalLM


def _text_processor(folder: Path) -> TextProcessor:
    require_files(folder, sees=False)
    with translated(folder):
        return TextProcessor(AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
