"""An inspect-ai task of two samples over a model that answers as it is told, scored by the PRM at argv[1]."""

import json
import sys
import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, ModelOutput, get_model

from mstar.adapters.inspect_ai import prm_score
from mstar.client import AsyncClient, Endpoint

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def main(prm_url: str) -> None:
    answers = [ModelOutput.from_content("mockllm/model", text) for text in ("five dots", "")]
    with_image = ChatMessageUser(
        content=[ContentImage(image=f"data:image/png;base64,{PNG}"), ContentText(text="How many?")]
    )
    task = Task(
        dataset=[Sample(input=[with_image], target="5"), Sample(input="And now?", target="6")],
        scorer=prm_score(AsyncClient(Endpoint(prm_url=prm_url))),
    )
    with tempfile.TemporaryDirectory() as folder:
        model = get_model("mockllm/model", custom_outputs=answers)
        (log,) = eval(task, model=model, display="none", log_dir=folder, max_samples=1)
    assert log.status == "success" and log.samples is not None, log.error
    print(json.dumps([sample.scores["prm_score"].model_dump(mode="json") for sample in log.samples if sample.scores]))


main(sys.argv[1])
