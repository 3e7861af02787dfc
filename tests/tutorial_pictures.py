"""Make the pictures of the tutorial, from the folder in which its commands were run.

    python tests/text_commands.py docs/tutorial.md FOLDER
    python tests/tutorial_pictures.py FOLDER

Each is what a command has written, cut or made smaller.
"""

import base64
import re
import sys
from pathlib import Path

import cv2
import numpy as np

PLACE = Path(__file__).resolve().parents[1] / "docs" / "tutorial"
FRAME = "center_2017_01_02_12_00_01_600_saliency.png"


def resized(picture, width):
    """Return a picture of that width."""
    scale = width / picture.shape[1]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)


def pictures_of(page_path):
    """Return the pictures within a page, in its order."""
    found = re.findall(r"data:image/png;base64,([\w+/=]+)", page_path.read_text())
    contents = [np.frombuffer(base64.b64decode(text), np.uint8) for text in found]
    return [cv2.imdecode(content, cv2.IMREAD_COLOR) for content in contents]


def pictures(folder):
    """Return the pictures by the name of their file."""

    def read(name):
        return cv2.imread(str(folder / name))

    sheet = read("augment.png")
    return {
        "frames.jpg": resized(read("report/contact_sheet.png"), 1200),
        "time.jpg": resized(read("report/time.png"), 1200),
        # From "as recorded" down to the gamma.
        "augment.jpg": resized(sheet[: int(0.455 * sheet.shape[0])], 760),
        "loss.jpg": resized(read("models/mine/loss.png"), 600),
        "map.jpg": resized(pictures_of(folder / "roads.html")[0], 1000),
        "saliency.jpg": resized(read(FRAME), 480),
    }


def main(folder):
    """Write them into docs/tutorial."""
    PLACE.mkdir(exist_ok=True)
    for name, picture in pictures(Path(folder)).items():
        quality = [cv2.IMWRITE_JPEG_QUALITY, 82]
        cv2.imwrite(str(PLACE / name), picture, quality)
        print(f"{name}: {(PLACE / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
