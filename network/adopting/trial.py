"""What was done to the pictures of a network, found by how it steers on a recording.

A network that sees what it was trained on steers much as the person did; with red and
blue exchanged, or another part of the frame, it does not. So what is not known is
tried, from coarse to fine, and ranked by the correlation with the recorded steering.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from common.car import FRAME_SHAPE
from common.errors import InputError
from network.adopting.adoption import with_scale
from network.adopting.affine import X, read_expression
from network.adopting.build import (
    THEANO,
    Preprocessing,
    build_network,
    give_weights,
    with_front,
)
from network.adopting.graph import Network
from network.adopting.sources import Source

if TYPE_CHECKING:
    import keras

# Frames on which networks are told apart, then what they see, and the last ranking.
FIRST_FRAMES, FEW_FRAMES, MANY_FRAMES = 24, 48, 240
# Rows that people cut off at top and bottom.
USUAL_CROPS = (
    *((60, 25), (50, 20), (70, 25), (50, 25), (60, 20), (65, 25), (55, 25), (70, 20)),
    *((60, 24), (40, 20), (20, 20), (0, 0), (62, 24), (55, 20), (63, 24), (75, 25)),
)
# From these on a crop is looked for, in ever smaller steps of rows.
COARSE_CROPS = ((0, 0), (20, 20), (40, 20), (60, 25), (70, 25))
FINE_STEPS = (10, 5, 2, 1)
SCALES = ("x / 127.5 - 1", "x / 255", "x / 255 - 0.5", "x")
COLOURS = {1: ("gray",), 3: ("rgb", "bgr", "yuv", "yuv-opencv31", "hsv")}
# Networks that weights alone may be of are told apart by these few; so many go on.
FIRST_COLOURS = ("rgb", "bgr", "yuv-opencv31")
FIRST_CROPS = ((60, 25), (30, 20))
GO_ON = 4
# Below it, what steers is not what was recorded.
LEAST_CORRELATION = 0.3


@dataclass(frozen=True)
class Known:
    """What of the pictures is known; None is tried."""

    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    colour: str | None = None
    blur: int | None = None
    scale: str | None = None
    """An expression of x."""
    backend: str | None = None


@dataclass(frozen=True)
class Combination:
    """One way in which a network may have been used."""

    network: int
    """Which of the networks it is, from 0."""
    done: Preprocessing
    backend: str


@dataclass(frozen=True)
class Score:
    """How a combination steers beside the recording."""

    combination: Combination
    correlation: float
    """Pearson's, -1 to 1; -1 where it steers the same on every frame."""
    rmse: float
    """The root mean square of the difference, in steering."""


class Trial:
    """Tries networks on frames.

    Args:
        networks: What the file may hold: one, or several of weights alone.
        source: The file.
        frames: uint8 RGB (n, 160, 320, 3).
        steering: What the person steered, float (n,), over a moment.
    """

    def __init__(
        self,
        networks: Sequence[Network],
        source: Source,
        frames: np.ndarray,
        steering: np.ndarray,
    ) -> None:
        self.num_frames = len(frames)
        """The number of frames of the last ranking."""
        self._networks = networks
        self._source = source
        self._frames = frames
        self._steering = steering
        # The sharpest bends, left and right, tell most; they come first.
        order = np.argsort(steering)
        ends = np.empty_like(order)
        ends[0::2], ends[1::2] = (
            order[: (len(order) + 1) // 2],
            order[::-1][: len(order) // 2],
        )
        every = np.arange(len(frames))
        self._rows = {FIRST_FRAMES: ends[:FIRST_FRAMES], FEW_FRAMES: ends[:FEW_FRAMES]}
        self._rows[MANY_FRAMES] = every
        self._models: dict[Any, keras.Model | None] = {}
        self._views: dict[Any, np.ndarray] = {}
        self._scores: dict[tuple[Combination, int], Score | None] = {}

    def score(self, combination: Combination, frames: int = FEW_FRAMES) -> Score | None:
        """Return how a combination steers; None if it cannot be built.

        Args:
            frames: FIRST_FRAMES, FEW_FRAMES or MANY_FRAMES: on how many of them.
        """
        key = (combination, frames)
        if key not in self._scores:
            self._scores[key] = self._score(combination, frames)
        return self._scores[key]

    def finals(self) -> list[Score]:
        """Return the scores on all the frames, the best first."""
        found = [
            score
            for (_, frames), score in self._scores.items()
            if frames == MANY_FRAMES and score is not None
        ]
        return sorted(found, key=lambda score: -score.correlation)

    def _score(self, combination: Combination, frames: int) -> Score | None:
        network, is_before = with_scale(
            self._networks[combination.network], combination.done.scale
        )
        done = combination.done if is_before else replace(combination.done, scale=None)
        try:
            front, pieces = with_front(network, done)
        except InputError:
            return None
        about = (repr(pieces), front.size, front.colour, combination.backend)
        key = (combination.network, *about)
        if key not in self._models:
            self._models[key] = self._build(pieces, front, combination.backend)
        model = self._models[key]
        if model is None:
            return None
        rows = self._rows[frames]
        affine = front.scale or X
        scale = np.array(affine.scale, np.float32)
        offset = np.array(affine.offset, np.float32)
        answers = []
        for start in range(0, len(rows), FEW_FRAMES):
            part = rows[start : start + FEW_FRAMES]
            pictures = self._pictures(front, part)
            answers.append(np.asarray(model(pictures * scale + offset, training=False)))
        answer = np.concatenate(answers)[:, 0].astype(float)
        known = self._steering[rows]
        spread = float(np.std(answer))
        is_alive = np.isfinite(answer).all() and spread > 1e-6 and np.std(known) > 1e-6
        correlation = float(np.corrcoef(answer, known)[0, 1]) if is_alive else -1.0
        rmse = float(np.sqrt(np.mean((answer - known) ** 2))) if is_alive else np.inf
        return Score(combination, correlation, rmse)

    def _build(
        self, pieces: Any, front: Preprocessing, backend: str
    ) -> keras.Model | None:
        try:
            model, made = build_network(pieces, front, self._source, backend)
            give_weights(made, self._source, backend)
        except InputError:
            return None
        return model if tuple(model.output_shape) == (None, 1) else None

    def _pictures(self, front: Preprocessing, rows: np.ndarray) -> np.ndarray:
        """Return float32 (n, h, w, c) of 0 to 255, as Preprocessing makes them."""
        from network.colour import Colour

        key = (front.crop, front.size, front.blur, rows.tobytes())
        if key not in self._views:
            if len(self._views) > 60:
                self._views.clear()
            top, bottom, left, right = front.crop
            cut = self._frames[rows, top : FRAME_SHAPE[0] - bottom]
            cut = cut[:, :, left : FRAME_SHAPE[1] - right]
            assert front.size is not None
            self._views[key] = np.stack(
                [_resized(each, front.size, front.blur) for each in cut]
            )
        if front.colour == "rgb":
            return self._views[key].astype(np.float32)
        return np.asarray(Colour(front.colour)(self._views[key]))


def _resized(frame: np.ndarray, size: tuple[int, int], blur: int) -> np.ndarray:
    frame = np.ascontiguousarray(frame)
    if blur:
        frame = cv2.GaussianBlur(frame, (blur, blur), 0)
    return frame if frame.shape[1::-1] == size else cv2.resize(frame, size)


# --- From coarse to fine --------------------------------------------------------------


def search(trial: Trial, networks: Sequence[Network], known: Known) -> list[Score]:
    """Try what is not known; return the scores on all the frames, the best first.

    Raises:
        InputError: None of the combinations can be built.
    """
    candidates = list(range(len(networks)))
    if len(candidates) > 1:
        candidates = _first_networks(trial, networks, known)
    scores = [
        score
        for index in candidates
        for score in map(trial.score, _coarse(networks[index], index, known))
        if score is not None
    ]
    if not scores:
        raise InputError(
            "none of the combinations fits the network; are --size and --weights right?"
        )
    scores.sort(key=lambda score: -score.correlation)
    best = scores[0].combination
    if known.crop is None:
        best = _finer(trial, best, networks[best.network])
    # What is decided on a few frames is looked at once more on all of them.
    for combination in (best, *_neighbours(best, networks[best.network], known)):
        trial.score(combination, frames=MANY_FRAMES)
    for score in scores[:3]:
        trial.score(score.combination, frames=MANY_FRAMES)
    return _usual_first(trial.finals(), trial.num_frames)


def _first_networks(
    trial: Trial, networks: Sequence[Network], known: Known
) -> list[int]:
    """Return the networks that steer most alike the person at first sight."""
    best: dict[int, float] = {}
    for index, network in enumerate(networks):
        colours = [
            colour
            for colour in _colours(network, known)
            if colour in FIRST_COLOURS or known.colour or network.channels == 1
        ]
        crops = [known.crop] if known.crop else [(*crop, 0, 0) for crop in FIRST_CROPS]
        scale = known.scale or SCALES[0]
        for crop in crops:
            for colour in colours:
                done = _done(known, crop, colour, scale)
                for backend in _backends_of(network, known)[:1]:
                    score = trial.score(Combination(index, done, backend), FIRST_FRAMES)
                    if score:
                        before = best.get(index, -1.0)
                        best[index] = max(before, score.correlation)
    return sorted(best, key=lambda index: -best[index])[:GO_ON]


def _coarse(network: Network, index: int, known: Known) -> Iterable[Combination]:
    if known.crop is not None:
        crops: Sequence[tuple[int, int, int, int]] = [known.crop]
    else:
        crops = _crops(network)
    for crop in crops:
        for colour in _colours(network, known):
            for scale in _scales(network, known):
                for backend in ("theano", "tensorflow"):
                    if backend in _backends_of(network, known):
                        done = _done(known, crop, colour, scale)
                        yield Combination(index, done, backend)


def _done(
    known: Known,
    crop: tuple[int, int, int, int],
    colour: str,
    scale: str | None,
) -> Preprocessing:
    affine = read_expression(scale) if scale else None
    return Preprocessing(crop, known.size, colour, known.blur or 0, affine)


def _crops(network: Network) -> list[tuple[int, int, int, int]]:
    """Return the crops to begin with."""
    height, width = network.height, network.width
    rows, columns, _ = FRAME_SHAPE
    if height in (rows, None) and width in (columns, None):
        return [(0, 0, 0, 0)]
    if width == columns and height and height < rows:
        # Nothing was resized: what is cut off above is not cut off below.
        left = rows - height
        tops = sorted({min(left, top) for top in range(0, left + 10, 10)})
        return [(top, left - top, 0, 0) for top in tops]
    return [(*crop, 0, 0) for crop in COARSE_CROPS]


def _colours(network: Network, known: Known) -> Sequence[str]:
    return (known.colour,) if known.colour else COLOURS.get(network.channels, ())


def _scales(network: Network, known: Known) -> Sequence[str | None]:
    """Return what may be done to the numbers before the network's own layers."""
    if known.scale:
        return (known.scale,)
    if network.unknown:
        return SCALES
    first = network.pieces[0].layer if network.pieces else ""
    does_it_itself = any(
        piece.layer in ("Rescaling", "BatchNormalization")
        for piece in network.pieces[:4]
    )
    return (None,) if does_it_itself or first == "Rescaling" else SCALES


def _backends_of(network: Network, known: Known) -> Sequence[str]:
    if known.backend:
        return (known.backend,)
    return (THEANO, "tensorflow") if network.is_channels_first else ("tensorflow",)


def _finer(trial: Trial, best: Combination, network: Network) -> Combination:
    """Look for a better crop around one, in ever smaller steps."""
    for step in FINE_STEPS:
        while True:
            around = [best, *_moved(best, step, network)]
            scores = [score for score in map(trial.score, around) if score is not None]
            found = max(scores, key=lambda score: score.correlation).combination
            if found == best:
                break
            best = found
    return best


def _moved(
    combination: Combination, step: int, network: Network
) -> Iterable[Combination]:
    """Yield combinations whose crop is other by some rows."""
    top, bottom, left, right = combination.done.crop
    is_cut_alone = network.width == FRAME_SHAPE[1] and network.height != FRAME_SHAPE[0]
    if is_cut_alone:
        moves = [(step, -step), (-step, step)]
    else:
        moves = [(step, 0), (-step, 0), (0, step), (0, -step)]
    for down, up in moves:
        crop = (top + down, bottom + up, left, right)
        if min(crop) >= 0 and crop[0] + crop[1] <= FRAME_SHAPE[0] - 20:
            yield replace(combination, done=replace(combination.done, crop=crop))


def _neighbours(
    best: Combination, network: Network, known: Known
) -> Iterable[Combination]:
    """Yield what is tried once more at the end: colours, scales, blur, usual crops."""
    done = best.done
    for colour in _colours(network, known):
        yield replace(best, done=replace(done, colour=colour))
    for scale in _scales(network, known):
        affine = read_expression(scale) if scale else None
        yield replace(best, done=replace(done, scale=affine))
    for backend in _backends_of(network, known):
        yield replace(best, backend=backend)
    if known.blur is None:
        yield replace(best, done=replace(done, blur=3))
    if known.crop is None and network.width != FRAME_SHAPE[1]:
        top, bottom, *_ = done.crop
        for crop in USUAL_CROPS:
            if abs(crop[0] - top) <= 5 and abs(crop[1] - bottom) <= 8:
                yield replace(best, done=replace(done, crop=(*crop, 0, 0)))


def _usual_first(scores: list[Score], num_frames: int) -> list[Score]:
    """Put what people use before what is better by less than chance.

    A correlation r of n frames has a standard error of (1 - r**2) / sqrt(n).
    """
    if not scores:
        return scores
    most = scores[0].correlation
    alike = (1 - most**2) / math.sqrt(num_frames)

    def place(score: Score) -> tuple[bool, int, float]:
        is_alike = score.correlation >= most - alike
        crop = score.combination.done.crop[:2]
        usual = USUAL_CROPS.index(crop) if crop in USUAL_CROPS else len(USUAL_CROPS)
        oddness = usual + 100 * bool(score.combination.done.blur)
        return not is_alike, oddness if is_alike else 0, -score.correlation

    return sorted(scores, key=place)


def check_found(scores: Sequence[Score], recording: str) -> Score:
    """Return the best score.

    Raises:
        InputError: Even that does not steer as it was recorded.
    """
    best = scores[0]
    if best.correlation < LEAST_CORRELATION:
        raise InputError(
            f"of {len(scores)} combinations none steers as {recording}: the best "
            f"correlation is {best.correlation:.2f}, expected {LEAST_CORRELATION:g} or "
            "more; does the recording have bends, and is it of the same road? Say "
            "--crop, --size, --colour and --scale as the model's own code has them"
        )
    return best
