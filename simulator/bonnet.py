"""The car's bonnet as the three cameras see it, drawn over every frame.

The bonnet does not move against the cameras, so it is drawn once, into a mask and a
picture. The outlines were read off the medians over real frames.
"""

from dataclasses import dataclass

import cv2
import numpy as np

# (column, row) in pixels of a 320x160 frame.
Outline = tuple[tuple[float, float], ...]

_CENTER_EDGE: Outline = (
    (36, 160), (47, 154.4), (57, 152.5), (86, 146.6), (105, 144.5), (114, 140),
    (135, 137.4), (156, 136.7), (171, 137.7), (195, 142.7), (208, 146.3),
    (229, 149.4), (255, 155.4), (265, 160),
)  # fmt: skip
_LEFT_EDGE: Outline = (
    (185, 160), (188, 154), (192, 150.5), (200, 146), (227, 142.7), (256, 139.5),
    (273, 137), (288, 137), (320, 140), (320, 160),
)  # fmt: skip
_RIGHT_EDGE: Outline = (
    (0, 160), (0, 135.5), (34, 135.2), (49, 138), (80, 142), (91, 143.5), (110, 148.6),
    (118, 150.5), (123.5, 156.5), (125, 160),
)  # fmt: skip

# Painted in this order: colour's name, polygon.
PARTS: dict[str, tuple[tuple[str, Outline], ...]] = {
    "center": (
        ("rim", _CENTER_EDGE),
        ("paint", ((69, 160), (90, 154), (114, 148), (140, 144.6), (157, 144),
                   (176, 145), (198, 148.5), (218, 154), (237, 160))),
        ("seam", ((92, 160), (118, 153.4), (140, 150.6), (157, 150), (174, 150.6),
                  (194, 153.4), (217, 160))),
        ("glass", ((98, 160), (122, 154.4), (142, 152), (157, 151.6), (172, 152),
                   (192, 154.4), (213, 160))),
    ),
    "left": (
        ("paint", _LEFT_EDGE),
        ("fringe", ((185, 160), (188, 154), (192, 150.5), (200, 146.4), (201, 150),
                    (195, 154), (193, 160))),
        ("rim", ((236, 142), (256, 139.5), (273, 137), (288, 137), (320, 140),
                 (320, 145), (294, 143), (272, 145), (258, 144), (250, 143))),
        ("rim", ((286, 160), (293, 150.5), (304, 146.5), (320, 146), (320, 160))),
        ("glass", ((302, 160), (306, 155), (320, 153), (320, 160))),
        ("seam", ((227, 143.2), (229, 143.2), (261, 160), (259, 160))),
        ("chrome", ((201, 149), (206, 153), (214, 154), (219, 149.5), (218, 145))),
        ("lamp", ((201, 148.6), (208, 144.5), (224, 143.2), (217, 150.2),
                  (211, 152.2), (203, 152))),
    ),
    "right": (
        ("paint", _RIGHT_EDGE),
        ("fringe", ((125, 160), (123.5, 156.5), (118, 150.5), (111, 149), (112, 153),
                    (115, 160))),
        ("rim", ((0, 135.5), (34, 135.2), (49, 138), (78, 142), (56, 142),
                 (40, 143.5), (30, 140.5), (0, 139))),
        ("seam", ((79.5, 142.8), (81.5, 142.8), (47, 160), (45, 160))),
        ("chrome", ((91, 146), (94, 154), (107, 155), (110, 149))),
        ("lamp", ((86.5, 143), (104, 144.8), (109, 148), (108, 152.6), (95, 153.2),
                  (91, 148.6))),
    ),
}  # fmt: skip

# RGB medians of real frames: "lake" of simulator v1, "jungle" of v2.
COLOURS: dict[str, dict[str, tuple[int, int, int]]] = {
    "lake": {
        "rim": (150, 142, 120), "paint": (134, 122, 98), "seam": (96, 90, 72),
        "glass": (150, 153, 141), "lamp": (251, 252, 249), "chrome": (120, 114, 94),
        "fringe": (140, 144, 131),
    },
    "jungle": {
        "rim": (138, 138, 130), "paint": (102, 99, 86), "seam": (47, 46, 41),
        "glass": (165, 174, 180), "lamp": (253, 253, 254), "chrome": (112, 114, 110),
        "fringe": (155, 163, 171),
    },
}  # fmt: skip


@dataclass(frozen=True)
class Overlay:
    """What is painted over the lower rows of one camera's frames."""

    first_row: int
    """The row from which the overlay covers the frame, down to the bottom."""
    mask: np.ndarray
    """Where the bonnet hides the world, bool (rows, width, 3)."""
    picture: np.ndarray
    """What is painted there, uint8 RGB (rows, width, 3)."""

    def paint(self, frame: np.ndarray) -> None:
        """Paint the bonnet into `frame`, uint8 (height, width, 3), in place."""
        np.copyto(frame[self.first_row :], self.picture, where=self.mask)


def make_overlay(camera: str, size: tuple[int, int], colours: str) -> Overlay:
    """Return the overlay of one camera.

    Args:
        camera: The camera's name: "left", "center" or "right".
        size: The (width, height) of the frame in pixels.
        colours: A key of `COLOURS`.
    """
    width, height = size
    scale = np.array((width / 320, height / 160))
    picture = np.zeros((height, width, 3), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    for name, outline in PARTS[camera]:
        # cv2 takes fixed-point corners: 4 fractional bits; pixel centres are at .5.
        corners = np.rint((np.array(outline) * scale - 0.5) * 16).astype(np.int32)
        cv2.fillPoly(picture, [corners], COLOURS[colours][name], cv2.LINE_8, 4)
        cv2.fillPoly(mask, [corners], (1,), cv2.LINE_8, 4)
    first_row = int(np.argmax(mask.any(axis=1)))
    mask3 = np.repeat(mask[first_row:, :, None] > 0, 3, axis=2)
    return Overlay(first_row, mask3, picture[first_row:].copy())
