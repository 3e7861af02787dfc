"""Heat maps drawn in a process of their own, in which TensorFlow is loaded for them.

    draw = DrawingProcess(Path("models/both/model.json"))
    png = draw(frame)

It begins when the first frame is given, so that who asks for no heat map never waits
for TensorFlow, and it has the lower priority: the car's answers go first. It ends with
the process that has begun it, in whatever way that ends.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from common.car import FRAME_SHAPE
from common.errors import InputError
from common.start_up import THREADS_VARIABLE

ROOT = Path(__file__).resolve().parents[2]
FRAME_BYTES = int(np.prod(FRAME_SHAPE))
SIZE_BYTES = 4
IS_WINDOWS = sys.platform == "win32"


class DrawingProcess:
    """Draws heat maps of what a model sees; may be used in one thread only.

    Args:
        json_path: The model; network.saliency.can_look has said that it has heat maps.
    """

    def __init__(self, json_path: Path) -> None:
        self._json_path = json_path
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, frame: np.ndarray) -> bytes:
        """Return the heat map of a frame, uint8 RGB (160, 320, 3), as a PNG.

        Raises:
            InputError: The process has ended: the model cannot be loaded, or has no
                heat maps after all.
        """
        process = self._process = self._process or self._started()
        assert process.stdin and process.stdout
        try:
            process.stdin.write(np.ascontiguousarray(frame).tobytes())
            process.stdin.flush()
            size = int.from_bytes(process.stdout.read(SIZE_BYTES), "big")
            picture = process.stdout.read(size)
        except OSError:
            size, picture = 0, b""
        if not size or len(picture) < size:
            raise InputError(f"{self._json_path}: the process that draws has ended")
        return picture

    def _started(self) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return subprocess.Popen(
            [sys.executable, "-m", "driving.cockpit.drawing", str(self._json_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, THREADS_VARIABLE: "1", "PYTHONPATH": paths},
            # So Ctrl+C reaches the drive only.
            process_group=None if IS_WINDOWS else 0,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def main(json_path: Path) -> None:
    """Draw what stdin brings until it ends, and the process with it."""
    frames: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(frames,), daemon=True).start()
    import psutil

    psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS if IS_WINDOWS else 10)
    from common.start_up import quiet_tensorflow

    quiet_tensorflow()
    from network.files import load_model
    from network.saliency import clear_picture, make_saliency

    look = make_saliency(load_model(json_path))
    while True:
        frame = np.frombuffer(frames.get(), np.uint8).reshape(FRAME_SHAPE)
        picture = clear_picture(look(frame))
        sys.stdout.buffer.write(len(picture).to_bytes(SIZE_BYTES, "big") + picture)
        sys.stdout.buffer.flush()


def _read(frames: queue.SimpleQueue[bytes]) -> None:
    while len(frame := sys.stdin.buffer.read(FRAME_BYTES)) == FRAME_BYTES:
        frames.put(frame)
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
