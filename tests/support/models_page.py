"""`docs/models.md` from the registry of families: `python tests/support/models_page.py` writes it."""

from collections.abc import Iterable
from pathlib import Path
from textwrap import fill

from family_folders import Family
from further_families import DRIVEN, FURTHER
from mstar.model_types import ELSEWISE, OTHERS, UNTRIED

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = """# Models

A run takes any vision-language model of the families below, from a local folder with `config.json`, `*.safetensors`,
tokenizer, image processor and chat template, as a download from a hub has them. Code in the folder is not run, unless
[an operator allows it](#code-from-a-folder).

`tests/system/test_model_families.py` saves a small random checkpoint of every family as such a folder and drives it
through the services, with questions of zero to three images. *Policy* and *chat*: greedy tokens and log-probabilities
equal those of `generate`. *PRM*: step scores equal those of one forward pass for each response. *Trainer*: the first
SFT and PRM losses equal the plain ones, and the checkpoint loads again. All of it runs on the CPU with the
transformers engine, without torchvision.
On CUDA and in bfloat16 the rows were run once, with torchvision: [which, and how far off](gpu-runs.md). The last
{later} rows came later and have not run there yet.

| family | `model_type` | images a question | policy and chat | PRM and trainer |
|---|---|---|---|---|
"""
TAIL = """
What the two right columns mean:

- *shared* in policy and chat: prompts of any length share a batch, and samples of a question share its prompt.
- *shared* in PRM and trainer: responses of a question are packed into one tree that shares one copy of its prompt.
- *one by one* in policy and chat: only prompts of one length share a batch, and each beginning of a response is
  computed whole.
- *one by one* in PRM and trainer: each response is a sequence of its own, with its own copy of prompt and image.

One by one is exact and slower: with n responses a question, PRM and trainer compute the prompt and its image n times.
It is chosen when a model is loaded, from its configuration. The reasons:

| family | service | reason |
|---|---|---|
{reasons}

## What is refused

Before a run starts, in one sentence that names the file and what to do: a `model_type` that is not in the table above;
a folder without tokenizer, image processor, chat template or whole weights; a chat template that drops the image or
the question; weights that are quantized (FP8, GPTQ, AWQ and others), which cannot be trained, also where config.json
does not say so; an output head that differs from the token embeddings where config.json ties the two, since engines
read that in two ways. Of the types that transformers loads as models of images and text, refused are:

{others}
{elsewise}
{untried}

[A row in a test](add-a-family.md) makes one of the last kind a supported family.

### Allow an untried family

An operator may let runs use one of the last kind before that, such as to find out whether it works:
`MSTAR_COORDINATOR_UNTRIED_MODELS=llama4,lfm2_vl` (`coordinator.untriedModels` of the chart). No recipe and no request
can. The folder is checked as any other; a family may still fail when it samples, scores or trains, or give wrong
numbers in silence. So the coordinator says at its start which types are allowed, and a run on one carries a sentence in
its log, in `mstar run show` and in its report. `mstar doctor --align` on the folder is the first test to make. The
other two kinds cannot be allowed.

Folders of PaliGemma have no chat template; the one in `shared/mstar_models/families/paligemma.py` is used: the
image, then the question.

## Code from a folder

Two of the paper's models are not in transformers: MiniCPM-Llama3-V-2.5 (`minicpmv`) and Phi-3.5-vision (`phi3_v`).
Their code lies in their folders. It runs only where an operator allows it, by the hash of its files:

1. Read the `*.py` files of the folder. They run with all rights of the service that loads the model: they see its keys,
   its network and every prompt.
2. `python -m mstar_models.remote_code /models/MiniCPM-Llama3-V-2_5` prints an entry,
   `minicpmv=/models/MiniCPM-Llama3-V-2_5@sha256:…`.
3. Put it into `MSTAR_POLICY_TRUSTED_CODE`, `MSTAR_PRM_TRUSTED_CODE`, `MSTAR_TRAINER_TRUSTED_CODE` and
   `MSTAR_COORDINATOR_TRUSTED_CODE`; several entries are comma-separated. The folder must exist for policy, PRM and
   trainer, such as on the volume that they share. With Helm the variables go into `extraEnv` of each service; `mstar
   up` hands each of its services its own.

No request, recipe or checkpoint can name code. Checkpoints hold none; they are loaded with the allowed code for their
`model_type`. A changed byte, or a file more or less, refuses the folder until the new hash is allowed. The files that
were compared are what is imported, from memory. Code in any other folder stays where it is: a family of the table above
is loaded by transformers' own code, and every other is refused.

What stays dangerous: the hash says which code runs, not that it is harmless, and the code may import any installed
package. Give those services no more rights than they need.

`tests/system/test_remote_families.py` writes small models with code of the same calls (nested slices, image places and
position ids; negative ids for images) and compares policy, PRM and trainer with them. The real folders were not tried:
their code was written for an older transformers, and may need small changes, which change the hash. MiniCPM-V 4.6 is
native, as 4.7 is, and needs none of this. The vLLM engine refuses them.

## What is installed

Nothing needs torchvision. Where it is installed it resizes images, else Pillow does: prompts are equal, and so are
pixels up to the rounding of resampling. It must be the build that belongs to torch. The test of the families runs
without it.
Qianfan-OCR drops paths of its vision tower at random while it trains, where its configuration says so
(`drop_path_rate`), and Granite 4 Vision drops features of its projectors (`projector_dropout`, and two in
`qformer_config`); the test sets these shares to 0, since nothing could be compared otherwise.
Some families have only an image processor that needs torchvision (Kimi K2.5, Llama 4, Cohere 2 Vision, LFM2-VL,
Perception LM): they were not tried. Gemma 3n and FastVLM need timm, which needs torchvision.
Phi-4-multimodal is refused: transformers does not list it among the models of images and text.
vLLM itself wants torchvision for ERNIE 4.5 VL.
SmolVLM's processor wants `num2words`, which comes with the model services.

GLM-5.3 Flash (`glm5_next`) was driven and is refused: tokens that come later change the numbers of those before them.
In a small random model (`index_topk` 16, 40 to 200 tokens) logits moved by up to 1.4; Qwen4-Exp's did not move at all.

Images are all that is sampled from, so no video processor is loaded, also where a family has one.

Where a chat template writes the date (`strftime_now`), it is 1 January 2026 on every day, for policy, PRM and trainer.
Otherwise a run that goes on after midnight would train on other prompts than it sampled with.

## Several images, or none

A question has up to eight images, or none, where the table does not say otherwise. The test of the families samples,
scores and trains questions with none, one, two and three images together: each as it would be alone. A data set with
records that `model.base` or `prm.base` does not take is refused before the run starts, by file and line;
`--skip-bad` leaves those records out.

## Resolution

`model.min_pixels` and `model.max_pixels` of a recipe bound a picture's pixels, and with them its tokens, for models
that scale to a number of pixels: Qwen2-VL to Qwen4-Exp, GLM-4.1V to GLM-4.6V, GLM-OCR, PaddleOCR-VL, VideoLLaMA 3,
EXAONE 4.5, ERNIE 4.5 VL and Cohere Compass. They are written into the run's copy of the folder, so that policy (vLLM
too), PRM, trainer and the published model all keep to them. Other families scale by sides, tiles or tokens; a recipe
that sets bounds for one of them is refused. A `prm.base` that has such bounds gets them as well.

## A whole run, small

`python -m benchmarks.family_run` makes a folder of each of two families with random weights and small sizes, and
teaches it for some minutes, in the default layout, to read the colours of a picture's two halves and to add their
points. It stops teaching while the model still misreads every third picture. Then `mstar run start` does a run on the
folder: warm-up, a PRM of its own, three iterations, a sweep of temperatures. On two cores that others used as well,
recorded in `benchmarks/family_run.json`:

InternVL, 0.2 M weights, taught for 200 updates; the run took 185 s:

| after | greedy, test-ID | greedy, test-OOD | Pass@4 | T | right of sampled | kept |
|---|---|---|---|---|---|---|
| base | 63.0 % | 70.0 % | 78.1 % | | | |
| warm-up | 60.0 % | 60.0 % | 68.8 % | | | |
| iteration 1 | 60.0 % | 62.0 % | 75.0 % | 1.0 | 36.0 % of 1600 | 338 |
| iteration 2 | 63.0 % | 70.0 % | 81.2 % | 1.0 | 39.5 % of 1600 | 333 |
| iteration 3 | 63.0 % | 70.0 % | 90.6 % | 1.0 | 42.6 % of 1600 | 337 |

Qwen2.5-VL, 0.3 M weights, taught for 160 updates; the run took 240 s:

| after | greedy, test-ID | greedy, test-OOD | Pass@4 | T | right of sampled | kept |
|---|---|---|---|---|---|---|
| base | 63.0 % | 70.0 % | 68.8 % | | | |
| warm-up | 63.0 % | 70.0 % | 56.2 % | | | |
| iteration 1 | 52.0 % | 50.0 % | 68.8 % | 1.0 | 24.2 % of 1600 | 288 |
| iteration 2 | 54.0 % | 56.0 % | 75.0 % | 0.7 | 39.4 % of 1600 | 319 |
| iteration 3 | 69.0 % | 72.0 % | 78.1 % | 0.7 | 47.9 % of 1600 | 346 |

What held: all 71 steps of both runs ended, with processor, tokenizer and template in the shape of a downloaded
folder; the models look at the picture, since nobody who does not is right in more than one of four cases; over the
iterations the share of right samples rises, and so does Pass@4. What can be seen less: with some twenty updates an
iteration and 100 questions in test-ID, greedy accuracy ends 0 and 6 points above the base (a standard error is 5
points), and falls first. The PRMs learn from 16 and 6 labelled solutions, too few to choose by. That accuracy rises
by much is shown [on the model that ships](results.md).

## Check a model

`mstar doctor --align MODEL` loads a folder into policy (each engine that is installed), PRM and trainer, and lays side
by side what they make of three pictures of different shape: the tokens of the prompt, how many of them stand for the
image, and their positions. Then each engine samples a response, and its log-probabilities stand beside the trainer's.
The exit code is 0 when all is equal. vLLM does not tell its positions; another one would show in the log-probabilities.

```
mstar doctor --align shared/minivista/model
```

Log-probabilities may differ by 0.002 nats in float32, 0.05 in float16 and 0.3 in bfloat16. [Tokens](tokens.md) says
what holds of tokens on the way through a run, and how each push of weights is checked.

[Add a model family](add-a-family.md) says how to support another one.
"""


def render() -> str:
    """The page."""
    rows = "\n".join(_row(family) for family in DRIVEN)
    return f"{HEAD.format(later=len(FURTHER))}{rows}\n" + TAIL.format(
        reasons="\n".join(line for one in DRIVEN for line in _reasons(one)),
        others=_point("those whose response does not continue its prompt", map(_code, sorted(OTHERS))),
        elsewise=_point(
            "those that do something else", (f"{_code(name)} {what}" for name, what in sorted(ELSEWISE.items())), "; "
        ),
        untried=_point(
            "those that were never driven through the services, so that nobody knows whether their numbers are right",
            map(_code, sorted(UNTRIED)),
        ),
    )


def _point(what: str, listed: Iterable[str], between: str = ", ") -> str:
    """A bullet that lists things, in lines of usual width."""
    return fill(
        f"- {what}: {between.join(listed)}",
        width=118,
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _code(name: str) -> str:
    return f"`{name}`"


def _row(family: Family) -> str:
    sampled, packed = (_mark(reason) for reason in (family.own_cache, family.one_by_one))
    return f"| {family.title} | `{family.model_type}` | {family.shown} | {sampled} | {packed} |"


def _mark(reason: str) -> str:
    return "yes, one by one" if reason else "yes, shared"


def _reasons(family: Family) -> list[str]:
    services = {"policy and chat": family.own_cache, "PRM and trainer": family.one_by_one}
    return [f"| {family.title} | {service} | {reason} |" for service, reason in services.items() if reason]


if __name__ == "__main__":
    PAGE.write_text(render())
