"""The page that drive.py serves: watch the drive, take the wheel, teach.

It serves the files of folder page/ and a WebSocket for each page, on the simulator's
own port; docs/protocol.md says what goes over it. A page never slows the car: its one
sender looks at the newest moment whenever the page has taken the last one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driving.cockpit.heat_map import HeatMap
from driving.cockpit.playback import Player
from driving.cockpit.state import CockpitState
from driving.moment import Moment
from driving.pages import (
    PARTS,
    has_token,
    is_own_origin,
    read_files,
    refuse_method,
    send_content,
)
from driving.port import GONE, AllowList, Receive, Scope, Send, refuse
from driving.server import DriveServer
from driving.speakers import MOST_PAGE_MESSAGE_BYTES, SOCKET_PATH
from driving.telemetry import LARGEST_NUMBER

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).resolve().parent / "page"
MOST_PAGES = 16
MOST_MESSAGES_PER_S = 200
# More than the eye follows; so what pages cost is bounded at any frame rate.
MOST_MOMENTS_PER_S = 30
# With nothing new a page is told so often that the server is there.
IDLE_S = 0.5
# A page that takes nothing for this time is dropped; it cannot steer long before.
STALLED_S = 5.0
BLIND_S = 1.0
CAMERA_PICTURE, HEAT_PICTURE = b"\x01", b"\x02"


@dataclass(eq=False)
class Page:
    """One open page, and what it was sent last."""

    number: int
    """Who it is to the wheel."""
    wants_heat: bool = False
    """Whether it is sent heat maps."""
    moment: Moment | None = None
    """The moment that it was sent last."""
    heat: bytes | None = None
    """The heat map that it was sent last."""
    sending_since_s: float | None = None
    """Since when it has not taken what it is sent; None if it has."""
    second: int = 0
    """The second of its last message."""
    num_messages: int = 0
    """Number of its messages in that second."""

    def is_blind(self, now_s: float) -> bool:
        """Say whether it has taken nothing for too long to steer by."""
        since_s = self.sending_since_s
        return since_s is not None and now_s - since_s > BLIND_S

    def is_too_loud(self, now_s: float) -> bool:
        """Count a message; say whether there are too many in this second."""
        if self.second != int(now_s):
            self.second, self.num_messages = int(now_s), 0
        self.num_messages += 1
        return self.num_messages > MOST_MESSAGES_PER_S


class Cockpit:
    """ASGI app of the page; what is not its own goes on to the simulators' app.

    Args:
        heat_map: Makes pictures of what the network looks at; None shows none.
        token: What the page's address must hold; None asks for nothing.
        command_of_end: Returns what to do next when the run has ended.
        allowed: Where simulators may come from; pages have their token.
        model: What the model is called.
        player: Plays the recording that the server says is played.
    """

    def __init__(
        self,
        server: DriveServer,
        heat_map: HeatMap | None = None,
        token: str | None = None,
        command_of_end: Callable[[], str] = lambda: "",
        allowed: AllowList | None = None,
        model: str = "",
        player: Player | None = None,
    ) -> None:
        self.server, self.heat_map, self.token = server, heat_map, token
        self.allowed = allowed or AllowList([])
        self.command: str | None = None
        """What to do next, "" for nothing; None until the run has ended."""
        self.ended = asyncio.Event()
        """Set when the run has ended."""
        self.pages: dict[int, Page] = {}
        self.refused: Counter[str] = Counter()
        self._command_of_end = command_of_end
        self.player = player
        self._state = CockpitState(server, model, heat_map is not None, player)
        self._last_number = 0
        self._files = read_files(FOLDER, PARTS)

    def end(self) -> None:
        """Stop the car, and tell the pages that the run has ended and what is next."""
        if self.command is not None:
            return
        self.server.is_ending = True
        self.server.wheel.stop()
        self.ended.set()
        try:
            self.command = self._command_of_end()
        except Exception:  # The run ends, whatever is amiss with what would be next.
            self.command = ""
            logger.exception("no command can be told for what is next")
        self.server.news.announce()

    def _refuse(self, what: str) -> None:
        """Count what is refused; log the first of its kind."""
        self.refused[what] += 1
        if self.refused[what] == 1:
            logger.warning("refused: %s; more will be counted", what)

    # --- Requests ---------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and scope["path"] == SOCKET_PATH:
            await receive()  # websocket.connect
            if why := self._why_refused(scope):
                self._refuse(why[1])
                await refuse(scope, send, why[0], f"refused: {why[1]}\n")
            else:
                scope["state"]["connection"].is_useful = True
                await self._serve_page(receive, send)
        elif scope["type"] == "http" and scope["path"] in self._files:
            await self._send_file(scope, send)
        elif self.allowed.allows(scope):
            await self.server.app(scope, receive, send)
        else:
            self._refuse("a simulator from elsewhere than --allow says")
            await refuse(scope, send, 403, "refused: drive.py --allow names others\n")

    async def _send_file(self, scope: Scope, send: Send) -> None:
        if await refuse_method(scope, send, "GET", "HEAD"):
            return
        if scope["path"] == "/" and not has_token(scope, self.token):
            self._refuse("a page without the token")
            line = "refused: open the address that drive.py has printed, token and all"
            await refuse(scope, send, 403, f"{line}\n")
            return
        await send_content(scope, send, *self._files[scope["path"]])

    def _why_refused(self, scope: Scope) -> tuple[int, str] | None:
        """Return status and reason to refuse a page's socket with, None to serve it."""
        if not is_own_origin(scope):
            return 403, "a page of another origin"
        if not has_token(scope, self.token):
            return 403, "a page without the token"
        if len(self.pages) >= MOST_PAGES:
            return 503, f"more than {MOST_PAGES} pages"
        return None

    # --- A page -----------------------------------------------------------------------

    async def _serve_page(self, receive: Receive, send: Send) -> None:
        """Serve a page until it leaves, asks for too much, or takes nothing more."""
        self._last_number += 1
        page = Page(self._last_number)
        self.pages[page.number] = page
        await send({"type": "websocket.accept"})
        listening = asyncio.create_task(self._listen(page, receive))
        telling = asyncio.create_task(self._tell(page, send))
        both = [listening, telling]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            del self.pages[page.number]
            self.server.wheel.release(page.number)
            telling.cancel()
            # Why a page has gone is heard a moment after it takes nothing any more.
            await asyncio.wait([listening], timeout=0.1)
            listening.cancel()
        for error in await asyncio.gather(*both, return_exceptions=True):
            # The page is gone, or has stopped reading.
            if isinstance(error, Exception) and not isinstance(error, GONE):
                logger.error("a page has failed", exc_info=error)

    async def _listen(self, page: Page, receive: Receive) -> None:
        """Do what a page asks for, until it leaves or asks for too much."""
        while True:
            message = await receive()
            now_s = time.perf_counter()
            if message["type"] != "websocket.receive":
                if message.get("code") == 1009:
                    too_long = f"a page's message over {MOST_PAGE_MESSAGE_BYTES} bytes"
                    self._refuse(too_long)
                return
            if page.is_too_loud(now_s):
                self._refuse(f"over {MOST_MESSAGES_PER_S} messages a second of a page")
                return
            try:
                self._take(page, json.loads(message.get("text") or ""), now_s)
            except (ValueError, TypeError, LookupError, RecursionError):
                self._refuse("a page's message that is none of the protocol")

    def _take(self, page: Page, message: dict[str, Any], now_s: float) -> None:
        """Do what a message says.

        Raises:
            LookupError, TypeError, ValueError: It says nothing.
        """
        server, kind = self.server, message["type"]
        wheel = server.wheel
        acts = {"stop": wheel.stop, "go": server.drive_on, "end": self.end}
        if kind == "steer":
            steering = _number(message["steering"], -1, 1)
            if not page.is_blind(now_s) and not server.playing:
                wheel.steer(page.number, steering, now_s)
        elif kind == "release":
            wheel.release(page.number)
        elif kind == "speed":
            wheel.target_mph = _number(message["mph"], 0, 30)
        elif kind == "heat_map":
            page.wants_heat = message["on"] is True and self.heat_map is not None
        elif kind == "seek" and self.player:
            _seek(self.player, message)
        else:
            acts[kind]()
        server.news.announce()

    async def _tell(self, page: Page, send: Send) -> None:
        """Send a page what is newest, as fast as it takes it.

        Raises:
            TimeoutError: It takes nothing.
        """
        news = self.server.news
        while True:
            page.sending_since_s = started_s = time.perf_counter()
            told = news.number
            async with asyncio.timeout(STALLED_S):
                for part in self._news_of(page):
                    await send({"type": "websocket.send", **part})
            page.sending_since_s = None
            spent_s = time.perf_counter() - started_s
            await asyncio.sleep(max(0.0, 1 / MOST_MOMENTS_PER_S - spent_s))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await news.after(told)

    def _news_of(self, page: Page) -> list[dict[str, Any]]:
        """Return the messages that tell a page what it has not been told yet."""
        self._state.can_heat_map = bool(self.heat_map and not self.heat_map.is_broken)
        state = self._state.document(page.number, page.wants_heat, self.command)
        parts: list[dict[str, Any]] = [{"text": json.dumps(state)}]
        moment = self.server.newest
        if moment and moment is not page.moment:
            parts.append({"bytes": CAMERA_PICTURE + moment.jpeg})
            page.moment = moment
        if self.heat_map and moment and page.wants_heat:
            self.heat_map.look_at(moment.frame, self.server.news.announce)
            heat = self.heat_map.newest
            if heat and heat is not page.heat:
                parts.append({"bytes": HEAT_PICTURE + heat})
                page.heat = heat
        return parts


def _seek(player: Player, message: dict[str, Any]) -> None:
    """Go to another place of a recording.

    Raises:
        LookupError, ValueError: The message names none.
    """
    if "at_s" in message:
        player.seek(_number(message["at_s"], 0, LARGEST_NUMBER))
    elif "by_s" in message:
        player.seek_by(_number(message["by_s"], -LARGEST_NUMBER, LARGEST_NUMBER))
    else:
        player.step(round(_number(message["by_rows"], -LARGEST_NUMBER, LARGEST_NUMBER)))


def _number(value: object, low: float, high: float) -> float:
    """Return a number, one beyond the ends of its range brought to them.

    Raises:
        ValueError: It is no finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    if not abs(value) < LARGEST_NUMBER:  # NaN is not below it either.
        raise ValueError(f"{str(value)[:40]} is not a finite number")
    return min(high, max(low, float(value)))
