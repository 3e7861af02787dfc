"""All suspicious moments of a recording, the plainest first.

    moments = find_moments(samples, read_looks(images_to_look_at(samples)))

They are found in the log (drive.py), in the pictures (pictures.py), by holding one
against the other (turning.py) and, where somebody has a model, by what that one would
do (models.py). A recording is held against itself, so that a keyboard and a wheel, a
wide road and a narrow one have each their own idea of what is odd.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from recordings.moments.drive import log_of, moments_of_log
from recordings.moments.looks import Looks
from recordings.moments.moment import Moment, ranked
from recordings.moments.pictures import moments_of_pictures
from recordings.moments.turning import moments_of_turning


def images_to_look_at(samples: pd.DataFrame) -> list[str]:
    """Return the centre image of each row, "" where the reader says it is no good."""
    is_bad = samples["excluded"].str.endswith("-image")
    return list(samples["center"].where(~is_bad, ""))


def find_moments(
    samples: pd.DataFrame, looks: Looks, more: Iterable[Moment] = ()
) -> list[Moment]:
    """Return the moments of a recording to look at, the plainest first.

    Args:
        samples: Its rows, as Recording has them; none marked out, so that what is
            marked does not look like a gap.
        looks: Its pictures.
        more: What models say.
    """
    if samples.empty:
        return []
    log = log_of(samples)
    found = [*moments_of_log(log), *moments_of_pictures(log, looks)]
    return ranked([*found, *moments_of_turning(log, looks), *more])
