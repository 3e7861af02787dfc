"""Which recordings lie where they usually do, for a command that is given none."""

from __future__ import annotations

import shlex
import sys
from contextlib import suppress
from pathlib import Path

from common.errors import InputError
from common.text import shown
from recordings.log import find_log

DATA = Path("data")
# Comes with the project, and is too short to train on: nobody's own.
SAMPLE = Path(__file__).parents[1] / "data" / "sample"
# Recordings of many roads lie a folder deeper.
IN_FOLDER = "[!.]*/driving_log.csv"
# Of those that are found, so many are named.
MOST_NAMED = 3


def recordings_in(folder: Path) -> list[Path]:
    """Return the recordings in a folder and in the folders in it, in order of name.

    The folder itself comes first if it is one: the data set that Udacity gave out
    unpacks to a folder `data`. The sample that comes with the project is none of them.
    """
    # Only by the name of its log: any other table in it is no recording.
    found = [folder] if (folder / "driving_log.csv").is_file() else []
    with suppress(OSError):  # What nobody may look into holds nothing to offer.
        for path in sorted(folder.iterdir()):
            if not path.is_dir() or path.name.startswith("."):
                continue
            if _is_recording(path):
                found.append(path)
            else:
                found += [log.parent for log in sorted(path.glob(IN_FOLDER))]
    return [path for path in found if not _is_sample(path)]


def only_recording(command: str, takes_several: bool = True) -> Path:
    """Return the one recording that lies in `data`, for a command that is given none.

    It is said on stderr which that is.

    Args:
        command: What to type before the recordings, such as "python train.py".
        takes_several: Whether more than one may be typed.

    Raises:
        InputError: There is none or more than one; the message says what to type.
    """
    found = recordings_in(DATA)
    if len(found) == 1:
        said = f"no recording given: taking {found[0]}, the only one of yours in {DATA}"
        print(shown(said), file=sys.stderr)
        return found[0]
    if not found:
        own = DATA / "lake"
        raise InputError(
            f"no recording given, and {DATA} holds none of yours; record one (python "
            f"simulate.py record lake --out {own}), then type: {command} {own}"
        )
    named = [str(path) for path in found[:MOST_NAMED]]
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    which = "one or more" if takes_several else "one of them"
    example = shlex.join(named if takes_several else named[:1])
    raise InputError(
        f"no recording given, and {DATA} holds {len(found)}: {', '.join(named)}{more}; "
        f"type the command with {which}: {command} {example}"
    )


def _is_recording(path: Path) -> bool:
    try:
        find_log(path)
    except (InputError, OSError):
        return False
    return True


def _is_sample(path: Path) -> bool:
    return SAMPLE.is_dir() and path.samefile(SAMPLE)
