"""Where a recording came from, where another program made it: `origin.json` in it.

`dataset.py import` writes the file. A recording without one is the simulator's.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from common.errors import InputError
from common.files import read_regular

ORIGIN_NAME = "origin.json"
MOST_ORIGIN_BYTES = 100_000


def read_origin(folder: Path) -> dict[str, Any]:
    """Return what is said of a recording's origin; what is not there says nothing."""
    with suppress(InputError, ValueError, RecursionError):
        document = json.loads(read_regular(folder / ORIGIN_NAME, MOST_ORIGIN_BYTES))
        return document if isinstance(document, dict) else {}
    return {}


def has_other_camera(folder: Path) -> bool:
    """Say whether a recording is of another camera than the simulator's."""
    return read_origin(folder).get("camera", "udacity") != "udacity"
