"""Make the pictures of the tutorial, from the folder in which its commands were run.

    python tests/text_commands.py docs/tutorial.md FOLDER
    python tests/tutorial_pictures.py FOLDER

Each is what a command has written, cut or made smaller.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

PLACE = Path(__file__).resolve().parents[1] / "docs" / "tutorial"
FRAME = "center_2017_01_02_12_00_01_600_saliency.png"


def resized(picture, width):
    """Return a picture of that width."""
    scale = width / picture.shape[1]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=way)


def last_map_of(page_path):
    """Return the last map of a report, as Chromium shows it."""
    page = page_path.read_text("utf-8")
    style = re.search(r"<style>.*?</style>", page, re.S)[0]
    drawing = re.findall(r"Where everybody went\">(<svg.*?</svg>)", page, re.S)[-1]
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        alone, shot = Path(folder, "map.html"), Path(folder, "map.png")
        within = f'<body style="margin: 0; padding: 0; max-width: none">{drawing}'
        alone.write_text(f'<meta charset="utf-8">{style}{within}', "utf-8")
        flags = "--headless --no-sandbox --hide-scrollbars --window-size=780,578"
        command = [chromium, *flags.split(), f"--screenshot={shot}", alone.as_uri()]
        subprocess.run(command, check=True, capture_output=True)
        return cv2.imread(str(shot))


def pictures(folder):
    """Return the pictures by the name of their file."""

    def read(name):
        return cv2.imread(str(folder / name))

    sheet = read("augment.png")
    return {
        "frames.jpg": resized(read("report/contact_sheet.png"), 1200),
        "time.png": resized(read("report/time.png"), 1200),
        # From "as recorded" down to the shadow.
        "augment.jpg": resized(sheet[: int(0.506 * sheet.shape[0])], 760),
        "loss.png": resized(read("models/mine/loss.png"), 600),
        "map.png": last_map_of(folder / "roads.html"),
        "saliency.jpg": resized(read(FRAME), 480),
    }


def main(folder):
    """Write them into docs/tutorial."""
    PLACE.mkdir(exist_ok=True)
    for name, picture in pictures(Path(folder)).items():
        quality = [cv2.IMWRITE_JPEG_QUALITY, 82] if name.endswith("jpg") else []
        cv2.imwrite(str(PLACE / name), picture, quality)
        print(f"{name}: {(PLACE / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1])
