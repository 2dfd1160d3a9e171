"""An inspect-ai task of two samples whose answers are given, scored by the PRM at argv[1].

No model is asked, since inspect-ai would fetch a tokenizer to count what it says.
"""

import json
import sys
import tempfile

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, ModelOutput
from inspect_ai.solver import Generate, Solver, TaskState, solver

from mstar.adapters.inspect_ai import prm_score
from mstar.client import AsyncClient, Endpoint

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@solver
def given() -> Solver:
    async def solve(state: TaskState, generate: Generate) -> TaskState:
        state.output = ModelOutput.from_content("mockllm/model", {1: "five dots", 2: ""}[int(state.sample_id)])
        state.messages.append(state.output.message)
        return state

    return solve


def main(prm_url: str) -> None:
    with_image = ChatMessageUser(
        content=[ContentImage(image=f"data:image/png;base64,{PNG}"), ContentText(text="How many?")]
    )
    task = Task(
        dataset=[Sample(id=1, input=[with_image], target="5"), Sample(id=2, input="And now?", target="6")],
        solver=given(),
        scorer=prm_score(AsyncClient(Endpoint(prm_url=prm_url))),
    )
    with tempfile.TemporaryDirectory() as folder:
        (log,) = eval(task, model="mockllm/model", display="none", log_dir=folder, max_samples=1)
        assert log.status == "success" and log.samples is not None, log.error
        print(
            json.dumps([sample.scores["prm_score"].model_dump(mode="json") for sample in log.samples if sample.scores])
        )


main(sys.argv[1])
