"""The JSON Schema of procsup.toml, which lets editors complete and check it; made of the table of its keys.

`procsup check --schema > procsup/config/procsup.schema.json` writes down the one that is shipped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from procsup.config.settings_keys import OF_A_TYPE, OF_THE_APP, PROCESSES, Key


def json_schema() -> dict[str, object]:
    """JSON Schema 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "procsup.toml",
        "description": "What a Procfile cannot say: defaults at the top, a table for each process type.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            **_properties({**OF_A_TYPE, **OF_THE_APP}),
            PROCESSES: {
                "description": "A table for each process type of the Procfile.",
                "type": "object",
                "propertyNames": {"pattern": "^[A-Za-z0-9_-]{1,63}$"},
                "additionalProperties": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": _properties(OF_A_TYPE),
                },
            },
        },
    }


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2) + "\n"


def _properties(keys: Mapping[str, Key]) -> dict[str, object]:
    return {name: {"description": key.doc, **key.schema} for name, key in keys.items()}
