"""The server of the review's page: rows and pictures out, marks in.

A request of another site, of a name that is not
this machine's, or, where there is a token, without it, is refused as the cockpit
refuses it. A change of marks must come from a page of this server, and name the marks
that it changes: two pages cannot undo one another unseen.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import cv2
import numpy as np

from common.errors import InputError
from common.files import read_regular
from driving.pages import (
    PARTS,
    has_token,
    is_own_origin,
    read_files,
    refuse_method,
    send_content,
)
from driving.port import Receive, Scope, Send, WebServer, refuse
from evaluation.review.desk import Desk
from evaluation.review.look import LABEL_AFTER_S, LABEL_BEFORE_S
from evaluation.review.marking import discarding_last, with_marks
from evaluation.review.models import ReviewModel
from evaluation.review.reviewed import Reviewed, packed, version_of
from evaluation.review.summary import document_of_mark, train_command
from network.saliency import clear_picture
from recordings.decoding import (
    JPEG_START,
    MOST_IMAGE_BYTES,
    PNG_START,
    fault_before_decoding,
    in_words,
)
from recordings.images import read_frame
from recordings.marks import Mark, Marks, change_marks
from recordings.moments.moment import KINDS

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parent / "page"
JSON, BINARY, PNG = "application/json", "application/octet-stream", "image/png"
# Ten thousand marks with a word each.
MOST_BODY_BYTES = 1_000_000
MOST_SECONDS = 1e6

Answer = tuple[int, str, bytes]
"""Status, content type and content."""
Query = dict[str, str]


class _Conflict(Exception):
    """Somebody else has changed the marks."""


class ReviewApp:
    """ASGI app of the page.

    Args:
        desk: What it shows.
        token: What each address must hold; None asks for nothing.
    """

    def __init__(self, desk: Desk, token: str | None = None) -> None:
        self.desk, self.token = desk, token
        self.refused: Counter[str] = Counter()
        self._files = read_files(FOLDER, PARTS)
        self._asked: dict[str, Callable[[Query], Answer]] = {
            "/state": self._state,
            "/rows": self._rows,
            "/details": self._details,
            "/moments": self._moments,
            "/marks": self._marks,
            "/frame": self._frame,
            "/view": self._view,
            "/heat": self._heat,
            "/steering": self._steering,
        }
        self._changes: dict[str, Callable[[Query, Any], Answer]] = {
            "/marks": self._put_marks,
            "/discard": self._discard,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await receive()
            await refuse(scope, send, 404, "refused: there is no such socket\n")
            return
        path, method = scope["path"], scope["method"]
        if path in self._files and path != "/":
            if not await refuse_method(scope, send, "GET", "HEAD"):
                await send_content(scope, send, *self._files[path])
        elif not has_token(scope, self.token):
            await self._refuse(
                scope,
                send,
                "a page without the token",
                "open the address that review.py has printed, token and all",
            )
        elif path == "/":
            if not await refuse_method(scope, send, "GET", "HEAD"):
                await send_content(scope, send, *self._files[path])
        elif method in ("POST", "PUT") and path in self._changes:
            await self._change(scope, receive, send)
        elif path not in self._asked:
            await refuse(scope, send, 404, "refused: there is no such thing\n")
        elif not await refuse_method(scope, send, "GET", "HEAD"):
            await self._answer(scope, send, self._asked[path], _query_of(scope))

    async def _refuse(self, scope: Scope, send: Send, what: str, mend: str) -> None:
        """Refuse, and log the first of its kind."""
        self.refused[what] += 1
        if self.refused[what] == 1:
            logger.warning("refused: %s; more will be counted", what)
        await refuse(scope, send, 403, f"refused: {what}; {mend}\n")

    async def _answer(
        self, scope: Scope, send: Send, work: Callable[..., Answer], *given: Any
    ) -> None:
        """Answer with what some work returns, done beside the loop."""
        try:
            status, kind, content = await asyncio.to_thread(work, *given)
        except (LookupError, InputError) as error:
            text = error.args[0] if error.args else "it is not there"
            await refuse(scope, send, 404, f"{text}\n")
            return
        await send_content(scope, send, kind, content, status)

    # --- What is known ----------------------------------------------------------------

    def _reviewed(self, query: Query) -> Reviewed:
        number = _number(query, "recording")
        if not 0 <= number < len(self.desk.reviewed):
            raise LookupError(f"recording {number}, of {len(self.desk.reviewed)}")
        return self.desk.reviewed[number]

    def _model(self, query: Query) -> ReviewModel:
        number = _number(query, "model")
        if not 0 <= number < len(self.desk.models):
            raise LookupError("the model is not loaded")
        return self.desk.models[number]

    def _state(self, query: Query) -> Answer:
        """Return what a page asks for again and again: what there is, and how far."""
        if "row" in query:
            self.desk.focus = _number(query, "recording"), _number(query, "row")
        recordings = []
        for number, each in enumerate(self.desk.reviewed):
            fault, version = each.fault or each.change_of_log(), ""
            try:
                _, version = each.marks()
            except InputError as error:
                fault = fault or str(error)
            details = each.details.version if each.details else ""
            if version and each.recording and details != version and not fault:
                self.desk.ask_for_details()
            recordings.append(
                {
                    "name": each.name,
                    "folder": str(each.path),
                    "is_read": each.recording is not None,
                    "is_checked": each.is_checked,
                    "fault": fault,
                    "marks": version,
                    "details": details,
                    "moments": len(self.desk.moments.get(number, ())),
                    "has_moments": number in self.desk.moments,
                    "steering": [
                        _known(self.desk.steering.get((number, j)))
                        for j in range(len(self.desk.models))
                    ],
                    "replays": [
                        (number, j) in self.desk.replays
                        for j in range(len(self.desk.models))
                    ],
                }
            )
        what, part = self.desk.doing
        return _json(
            {
                "recordings": recordings,
                "models": [model.name for model in self.desk.models],
                "num_models": len(self.desk.model_paths),
                "fault": self.desk.fault,
                "doing": what,
                "part": round(part, 3),
                "label": [LABEL_BEFORE_S, LABEL_AFTER_S],
                "kinds": KINDS,
                "train": self._train_command(),
            }
        )

    def _train_command(self) -> str:
        units = {
            str(each.path.resolve()): each.unit
            for each in self.desk.reviewed
            if each.unit
        }
        paths = [each.path for each in self.desk.reviewed]
        return train_command(paths, units, self.desk.model_paths)

    def _rows(self, query: Query) -> Answer:
        return 200, BINARY, self._reviewed(query).rows()

    def _details(self, query: Query) -> Answer:
        return 200, BINARY, self._reviewed(query).details_packed()

    def _moments(self, query: Query) -> Answer:
        self._reviewed(query)
        return _json(
            {"moments": self.desk.moments.get(_number(query, "recording"), [])}
        )

    def _steering(self, query: Query) -> Answer:
        """Return a model's steering, and where it drives, as far as they are known."""
        key = _number(query, "recording"), _number(query, "model")
        if key not in self.desk.steering:
            raise LookupError("the model has not looked yet")
        arrays = {"steering": self.desk.steering[key]}
        interventions: list[int] = []
        if driven := self.desk.replays.get(key):
            arrays["error_m"] = driven.cross_track_error_m
            interventions = driven.interventions
        return 200, BINARY, packed({"interventions": interventions}, arrays)

    # --- Pictures ---------------------------------------------------------------------

    def _frame(self, query: Query) -> Answer:
        """Return an image as it lies on the disk; what a browser should not decode is
        refused."""
        path = self._reviewed(query).image_path(
            _number(query, "row"), query.get("camera", "center")
        )
        content = read_regular(path, MOST_IMAGE_BYTES)
        if fault := fault_before_decoding(content):
            raise LookupError(f"{path.name}: {in_words(fault, content)}")
        kind = "image/bmp"
        for start, name in ((JPEG_START, "image/jpeg"), (PNG_START, PNG)):
            if content.startswith(start):
                kind = name
        return 200, kind, content

    def _center(self, query: Query) -> np.ndarray:
        reviewed = self._reviewed(query)
        return read_frame(reviewed.image_path(_number(query, "row"), "center"))

    def _view(self, query: Query) -> Answer:
        """Return what a network sees of a frame: a model's own layers, or those that
        model.py builds."""
        frame = self._center(query)
        seen = (
            self._model(query).view(frame) if "model" in query else _usual_view(frame)
        )
        done, png = cv2.imencode(".png", cv2.cvtColor(seen, cv2.COLOR_RGB2BGR))
        assert done, "OpenCV encodes every uint8 picture"
        return 200, PNG, png.tobytes()

    def _heat(self, query: Query) -> Answer:
        return 200, PNG, clear_picture(self._model(query).heat(self._center(query)))

    # --- Marks ------------------------------------------------------------------------

    def _marks(self, query: Query) -> Answer:
        return _json(_document_of(*self._reviewed(query).marks()))

    async def _change(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Change marks; the answer says what there is then, on the disk."""
        if not is_own_origin(scope):
            mend = "open the address that review.py has printed"
            await self._refuse(scope, send, "a page of another origin", mend)
            return
        query = _query_of(scope)
        body = await _body_of(receive)
        if body is None:
            line = f"refused: over {MOST_BODY_BYTES:,} bytes\n"
            await refuse(scope, send, 413, line)
            return
        change = self._changes[scope["path"]]
        await self._answer(scope, send, self._changed, change, query, body)

    def _changed(
        self, change: Callable[[Query, Any], Answer], query: Query, body: bytes
    ) -> Answer:
        try:
            return change(query, json.loads(body))
        except _Conflict:
            document = _document_of(*self._reviewed(query).marks())
            document["fault"] = "the marks were changed elsewhere; they are read again"
            return _json(document, 409)
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            # What is said of a mark is for the person; the rest is a page's own.
            is_said = isinstance(error, InputError)
            return _json({"fault": str(error) if is_said else "no marks"}, 400)
        except OSError as error:
            fault = f"{error.filename}: {error.strerror}; mend that, then mark again"
            return _json({"fault": fault}, 507)

    def _put_marks(self, query: Query, body: Any) -> Answer:
        entries = tuple(_mark_of(each) for each in body["marks"])
        return self._write(query, body, lambda *_: Marks(entries))

    def _discard(self, query: Query, body: Any) -> Answer:
        seconds = body["seconds"]
        if seconds is not None and not (
            _is_number(seconds) and 0 < seconds < MOST_SECONDS
        ):
            raise InputError(f"{seconds!r:.40}, expected seconds above 0")

        def change(reviewed: Reviewed, marks: Marks) -> Marks:
            assert reviewed.recording is not None, "its rows are read"
            new = discarding_last(reviewed.recording, marks, seconds)
            return with_marks(marks, new)

        return self._write(query, body, change)

    def _write(
        self, query: Query, body: Any, change: Callable[[Reviewed, Marks], Marks]
    ) -> Answer:
        reviewed = self._reviewed(query)
        lines = reviewed.samples["line"]

        def checked(marks: Marks) -> Marks:
            if version_of(marks) != body["version"]:
                raise _Conflict
            if changed := reviewed.change_of_log():
                raise InputError(changed)
            new = change(reviewed, marks)
            if any(mark.last > int(lines.iloc[-1]) for mark in new.entries):
                raise InputError(f"expected rows of the log, up to {lines.iloc[-1]}")
            return new

        marks = change_marks(reviewed.log_path, checked)
        self.desk.ask_for_details()
        return _json(_document_of(marks, version_of(marks)))


# --- Parts ----------------------------------------------------------------------------


def _query_of(scope: Scope) -> Query:
    found = parse_qs(scope["query_string"].decode("latin-1"))
    return {name: values[-1] for name, values in found.items()}


def _number(query: Query, name: str) -> int:
    text = query.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise LookupError(f"{name} is {text[:40]!r}, expected a number")
    return int(text)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


async def _body_of(receive: Receive) -> bytes | None:
    """Return the body of a request, None if it is too long."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return b""
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > MOST_BODY_BYTES:
            return None
    return body


def _json(document: dict[str, Any], status: int = 200) -> Answer:
    return status, JSON, json.dumps(document).encode()


def _document_of(marks: Marks, version: str) -> dict[str, Any]:
    return {
        "version": version,
        "marks": [document_of_mark(mark) for mark in marks.entries],
        "fault": "",
    }


def _mark_of(document: Any) -> Mark:
    """Return the mark of a document.

    Raises:
        InputError: It makes no sense.
        KeyError, TypeError: It is no document of a mark.
    """
    rows = document["from_row"], document["to_row"]
    kind, note = document["mark"], document["note"]
    if not all(type(row) is int for row in rows):
        raise TypeError("rows are whole numbers")
    if not (isinstance(kind, str) and isinstance(note, str)):
        raise TypeError("mark and note are texts")
    return Mark(*rows, kind, note)


def _known(steering: np.ndarray | None) -> int:
    """Return for how many rows a model's steering is known."""
    return 0 if steering is None else int(np.isfinite(steering).sum())


def _usual_view(frame: np.ndarray) -> np.ndarray:
    """Return what the networks of model.py see of a frame, uint8 RGB (66, 200, 3).

    It is what their layers make of it but for a level in some pixels; Keras need not be
    loaded for it.
    """
    from model import CROP_BOTTOM_ROWS, CROP_TOP_ROWS, VIEW_SHAPE

    road = frame[CROP_TOP_ROWS : len(frame) - CROP_BOTTOM_ROWS]
    size = (VIEW_SHAPE[1], VIEW_SHAPE[0])
    return cv2.resize(road, size, interpolation=cv2.INTER_LINEAR)


async def serve(app: ReviewApp, listener: Any, announce: Callable[[], None]) -> None:
    """Serve the page until the task is cancelled.

    Args:
        listener: What driving.port.listen returns.
        announce: Is called as soon as pages can come.
    """
    web = WebServer(app, command="review.py", share=1.0)
    serving = asyncio.create_task(web.serve(sockets=[listener]))
    try:
        while not web.started and not serving.done():
            await asyncio.sleep(0.01)
        announce()
        await serving
    finally:
        web.should_exit = True
        await asyncio.wait([serving], timeout=2.0)
