"""Bodies of downloads: the models, data sets and documents of a run, as one archive each or file by file."""

from enum import StrEnum

from mstar.types import Frozen, Sha256


class Part(StrEnum):
    """What can be taken away of a run."""

    POLICY = "policy"
    """The model that answers, as a Hugging Face folder."""
    PRM = "prm"
    """The process reward model, where the run has one."""
    COT_DATASET = "cot_dataset"
    """The responses that were trained on."""
    PRM_DATASET = "prm_dataset"
    """Solutions with a label after every step, where the run made them."""
    EVALUATION = "evaluation"
    """Tables, responses and result files of an evaluation."""
    REPORT = "report"
    """The report as one HTML file."""
    RECIPE = "recipe"
    """The recipe with all its defaults, as YAML."""
    RESULTS = "results"
    """Everything measured, as JSON."""
    ALL = "all"
    """All of these."""


class Download(Frozen):
    """Something of a run that is there to be taken away."""

    part: Part
    files: int
    bytes: int
    """Of its files together."""


class DownloadFile(Frozen):
    """One file of it."""

    name: str
    """Below the run's folder, such as `policy/config.json`."""
    bytes: int
    sha256: Sha256
    begin: int
    """Place of its first byte in the archive of the part, of which any range can be asked."""
