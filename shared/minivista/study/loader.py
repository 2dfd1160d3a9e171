"""Questions of the study's set with their images, split by split, in a fixed order."""

import hashlib
from collections.abc import Iterator

from minivista.canvas import png
from minivista.sizes import count_of
from minivista.study import SIZES
from minivista.study.chains import sound_chain
from minivista.study.scenes import Scene, draws, group_at
from mstar.types import Answer, AnswerType, Question

NAME = "minivista-study"


def load_split(split: str, limit: int | None = None, *, oracle: bool = False) -> Iterator[tuple[Question, bytes]]:
    """Yield (question, PNG bytes). The first `limit` questions of a split are the same for every limit.

    `oracle`: with the answers of the unlabelled split, which are hidden otherwise. No picture of one split is in
    another, and none comes twice in its own. Raises InvalidDataset for an unknown split or a limit above its size.
    """
    count = count_of(NAME, SIZES, split, limit)
    seen: set[tuple[object, ...]] = set()
    for index in range(count):
        # By what a picture shows and not by its bytes: the same scene in another ink would be the same question.
        scene, picture = next(pair for pair in draws(split, index) if (pair[0].values, pair[0].scripts) not in seen)
        seen.add((scene.values, scene.scripts))
        data = png(picture)
        yield _question(split, index, scene, hashlib.sha256(data).hexdigest(), oracle), data


def _question(split: str, index: int, scene: Scene, digest: str, oracle: bool) -> Question:
    labelled = oracle or split != "unlabelled"
    return Question(
        id=f"{NAME}/{split}/{index:06d}",
        text=scene.question,
        images=(digest,),
        answer=Answer(type=AnswerType.INTEGER, value=str(scene.answer)) if labelled else None,
        group=group_at(index),
        split=split,
        source=NAME,
        gold_steps=sound_chain(scene) if labelled else (),
    )
