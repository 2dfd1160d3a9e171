"""The processor of a model folder: tokenizer, image processor and chat template, put together for images alone.

transformers' own way asks for a video processor wherever a family has one, and that needs torchvision. Nothing here is
sampled from video, so the processor is assembled without it. Image processors use torchvision where it is installed and
Pillow where not; both give the same prompt and, up to the rounding of resampling, the same pixels.
"""

import json
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer, PreTrainedTokenizerFast, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, processor_class_from_name

from mstar.errors import InvalidInput
from mstar_models.chat import fixed_day
from mstar_models.families import family_of_processor

VIDEO = "video_processor"
NAMING_FILES = ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json")
"""Where a folder may name the class of its processor, the most specific first."""
OLDER, NEWER = "Qwen2_5_VLImageProcessor", "Qwen2VLImageProcessor"
"""What the first folders of Qwen2.5-VL call their image processor, and what it is called."""
WITHOUT_TORCHVISION = {"PixtralProcessor": "mstar_models.families.pixtral"}
"""Processors that transformers only offers beside torchvision → our module with a class of the same name."""
WITHOUT_VIDEO = {
    "Gemma4Processor": "mstar_models.families.gemma4_processor",
    "MiniCPMV4_6Processor": "mstar_models.families.minicpmv_processor",
    "MiniCPMV4_7Processor": "mstar_models.families.minicpmv_processor",
}
"""Processors that cannot be made without one for video or sound → our module with a class of the same name."""


def assemble_processor(folder: Path) -> Any:
    """The folder's processor without its video part.

    Raises InvalidInput for a folder of a family without a processor, or one whose chat template is missing or drops the
    image; whatever transformers raises for damaged or missing files.
    """
    kind = _images_only(_processor_class(folder))
    settings, _ = kind.get_processor_dict(folder, local_files_only=True)
    parts = {name: _part(folder, kind.__name__, name) for name in kind.get_attributes()}
    without_video = {VIDEO: None} if VIDEO in signature(kind.__init__).parameters else {}
    processor = kind.from_args_and_dict([], settings, **parts, **without_video)
    if processor.chat_template is None:
        # Many folders keep it in tokenizer_config.json, where a processor does not look.
        processor.chat_template = parts["tokenizer"].chat_template or family_of_processor(processor).template
    return processor


def _processor_class(folder: Path) -> Any:
    for name in NAMING_FILES:
        if (named := _read(folder / name).get("processor_class")) is not None:
            break
    else:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        kind = PROCESSOR_MAPPING.get(type(config), None)
        named = getattr(kind, "__name__", None)
        if named is None:
            raise InvalidInput(
                f"model folder {folder.name}: models of type {config.model_type!r} have no processor for images; take "
                "a vision-language model",
                field="model",
            )
    own = WITHOUT_VIDEO if has_torchvision() else WITHOUT_TORCHVISION | WITHOUT_VIDEO
    if named in own:
        return getattr(import_module(own[named]), named)
    found = processor_class_from_name(named)
    if found is None:
        raise InvalidInput(
            f"model folder {folder.name} names the processor {named!r}, which transformers does not have: it may need "
            "code from the folder, which is never run",
            field="model",
        )
    return found


def _images_only(kind: Any) -> Any:
    """The same processor class without the video part; it keeps its name, by which transformers and files know it."""

    def get_attributes(cls: Any) -> list[str]:
        return [name for name in kind.get_attributes() if name != VIDEO]

    def apply_chat_template(self: Any, conversation: Any, **options: Any) -> Any:
        # SmolVLM's own asks the video processor for its frame rate even where a conversation has no video.
        return ProcessorMixin.apply_chat_template(self, conversation, **fixed_day(self.chat_template), **options)

    class Parts(ProcessorMixin):  # type: ignore[misc]
        """What the class hands its parts to; their places count, and LLaVA-NeXT-Video's begin with the video part."""

        def __init__(self, *parts: Any, **named: Any) -> None:
            given = dict(zip(kind.get_attributes(), parts, strict=False)) | named
            given.pop(VIDEO, None)
            super().__init__(**given)

    methods = {"get_attributes": classmethod(get_attributes), "apply_chat_template": apply_chat_template}
    return type(kind.__name__, (kind, Parts), methods)


def _part(folder: Path, kind: str, name: str) -> Any:
    where = {"local_files_only": True, "trust_remote_code": False}
    if name == "tokenizer":
        # Mistral's folders name a Llama tokenizer, whose own rules would replace those in tokenizer.json.
        auto = PreTrainedTokenizerFast if kind == "PixtralProcessor" else AutoTokenizer
        try:
            return auto.from_pretrained(folder, **where)
        except Exception as error:
            if (folder / "tokenizer.json").is_file():
                raise
            # Made anew of older files, which takes their library, and what fails then speaks of a line that is no text.
            raise InvalidInput(
                f"model folder {folder.name} has no tokenizer.json, and none can be made of its other files: add that "
                "file from the same model, or install sentencepiece and protobuf where the files are whole",
                field="model",
            ) from error
    if name == "image_processor":
        _require_named(folder)
        backend = "torchvision" if has_torchvision() else "pil"
        return AutoImageProcessor.from_pretrained(folder, backend=backend, **where)
    raise InvalidInput(
        f"model folder {folder.name}: {kind} also takes a {name}; only models of images and text are supported",
        field="model",
    )


def _require_named(folder: Path) -> None:
    """Raises InvalidInput for a class of an older transformers, which the newer one calls unknown among a hundred."""
    for name in ("processor_config.json", "preprocessor_config.json"):
        whole = _read(folder / name)
        part = whole.get("image_processor", whole)
        named = part.get("image_processor_type") if isinstance(part, dict) else None
        if isinstance(named, str) and named.startswith(OLDER):
            newer = NEWER + named.removeprefix(OLDER)
            raise InvalidInput(
                f"model folder {folder.name} has image_processor_type {named[:64]!r} in {name}, which transformers no "
                f"longer has: write {newer[:64]!r}, which is the same",
                field="model",
            )


def has_torchvision() -> bool:
    """Whether image processors may use it."""
    return find_spec("torchvision") is not None


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found = json.loads(path.read_text())
    return found if isinstance(found, dict) else {}
