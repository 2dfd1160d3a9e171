"""Runs in the linters' environment: standard input names PromQL expressions and objects of operators.

Writes a JSON list of complaints. What this leaves out: everything that the tests' own environment can check.
"""

import json
import sys
from typing import Any

import promql_parser
from cloudcoil.models.prometheus_operator import v1
from kubeflow_trainer_api import models

KUBEFLOW = {
    "JobSet": models.JobsetV1alpha2JobSet,
    "TrainJob": models.TrainerV1alpha1TrainJob,
    "TrainingRuntime": models.TrainerV1alpha1TrainingRuntime,
}


def complaints_about_promql(expressions: list[str]) -> list[str]:
    found = []
    for one in expressions:
        try:
            promql_parser.parse(one)
        except ValueError as error:
            found.append(f"{one}: {error}")
    return found


def complaints_about_objects(objects: list[dict[str, Any]]) -> list[str]:
    """An object must come back from its model as it went in; unknown fields are lost on the way."""
    found = []
    for one in objects:
        back = _kubeflow(one) if one["kind"] in KUBEFLOW else _prometheus(one)
        if back != one:
            found.append(f"{one['kind']} {one['metadata']['name']}: {json.dumps(back)} is not {json.dumps(one)}")
    return found


def _prometheus(one: dict[str, Any]) -> Any:
    made = getattr(v1, one["kind"]).model_validate(one)
    return json.loads(made.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True))


def _kubeflow(one: dict[str, Any]) -> Any:
    return json.loads(KUBEFLOW[one["kind"]].from_dict(one).to_json())


given = json.load(sys.stdin)
print(json.dumps(complaints_about_promql(given["promql"]) + complaints_about_objects(given["objects"])))
