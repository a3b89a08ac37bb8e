"""`causim schema`: the JSON schema of scenario files."""

from __future__ import annotations

import json
import sys

from simulation.cli import HOLDS
from simulation.cli.given import SchemaOptions
from simulation.scenario.json_schema import json_schema


def execute(_: SchemaOptions) -> int:
    """Print the schema."""
    sys.stdout.write(json.dumps(json_schema(), indent=1) + "\n")
    return HOLDS
