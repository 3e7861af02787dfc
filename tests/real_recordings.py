"""Where real recordings and logs lie: beside the project, if they are there at all."""

from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
