"""Runs in the linters' environment: standard input names PromQL expressions and objects of the Prometheus Operator.

Writes a JSON list of complaints. What this leaves out: everything that the tests' own environment can check.
"""

import json
import sys
from typing import Any

import promql_parser
from cloudcoil.models.prometheus_operator import v1


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
        made = getattr(v1, one["kind"]).model_validate(one)
        back = json.loads(made.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True))
        if back != one:
            found.append(f"{one['kind']} {one['metadata']['name']}: {json.dumps(back)} is not {json.dumps(one)}")
    return found


given = json.load(sys.stdin)
print(json.dumps(complaints_about_promql(given["promql"]) + complaints_about_objects(given["objects"])))
