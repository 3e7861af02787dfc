"""Who has the wheel: the model, a person at a page, or nobody, as the car is stopped.

A person who takes over says so again and again; who falls silent has let go. So a page
that is lost, stalled or closed can leave no command behind. No network and no clock
here: every time is passed in, and decided upon when the simulator is answered.
"""

from __future__ import annotations

from dataclasses import dataclass

from driving.pilot import Command

# A person who has not been heard for this time has let go of the wheel.
SILENCE_S = 0.15
# Taking over again within this time is the same intervention: a key let go and pressed.
SAME_INTERVENTION_S = 1.0
# The brake of a standing car is its reverse gear.
STANDING_MPH = 1.0

MODEL, PERSON, STOPPED = "model", "person", "stop"


@dataclass(frozen=True)
class Choice:
    """What the car is told, and by whom."""

    command: Command
    driver: str
    """Who drives: MODEL, PERSON or STOPPED."""
    model_steering: float
    """What the model would do, in [-1, 1]."""
    person_steering: float | None
    """What the person at the wheel does, in [-1, 1]; None if there is none."""
    is_takeover: bool = False
    """Whether a person drives who did not drive a frame ago."""
    is_intervention: bool = False
    """Whether this takeover is a new one, not the last one gone on with."""
    is_give_back: bool = False
    """Whether the model drives again since this frame."""


@dataclass(frozen=True)
class _Hold:
    """One page's hand on the wheel; replaced whole, as two threads look at it."""

    page: int
    steering: float
    heard_s: float


class Wheel:
    """Chooses between the model's command and a person's, frame by frame."""

    def __init__(self, target_mph: float) -> None:
        self.target_mph = target_mph
        """The speed that the model holds, until a person sets another one."""
        self.is_stopped = False
        """Whether the car brakes and stands, whoever steers."""
        self._hold: _Hold | None = None
        self._driver = MODEL
        self._given_back_s = float("-inf")

    def stop(self) -> None:
        """Brake and stand until `go`, whoever steers."""
        self.is_stopped = True

    def go(self) -> None:
        """Drive on."""
        self.is_stopped = False

    def steer(self, page: int, steering: float, now_s: float) -> bool:
        """Take the wheel, or turn it on; the first page has it until it lets go.

        Args:
            page: Number of the page that steers.
            steering: What it steers, in [-1, 1]; + is right.
            now_s: When it was heard.

        Returns:
            Whether this page has the wheel.
        """
        if not self.is_free_for(page, now_s):
            return False
        self._hold = _Hold(page, steering, now_s)
        return True

    def release(self, page: int) -> None:
        """Let go of the wheel, if this page has it."""
        if self._hold and self._hold.page == page:
            self._hold = None

    def holder(self, now_s: float) -> int | None:
        """Return the page that has the wheel, None if the model has it."""
        hold = self._held(now_s)
        return hold.page if hold else None

    def driver(self, now_s: float) -> str:
        """Return who drives: MODEL, PERSON or STOPPED."""
        if self.is_stopped:
            return STOPPED
        return PERSON if self._held(now_s) else MODEL

    def is_free_for(self, page: int, now_s: float) -> bool:
        """Say whether a page may steer."""
        return self.holder(now_s) in (None, page)

    def _held(self, now_s: float) -> _Hold | None:
        hold = self._hold
        return hold if hold and now_s - hold.heard_s <= SILENCE_S else None

    def choose(self, command: Command, speed_mph: float, now_s: float) -> Choice:
        """Decide what a frame is answered with.

        Args:
            command: The model's command, whose throttle holds the target speed.
            now_s: When the answer is given.
        """
        before, hold = self._driver, self._held(now_s)
        person = hold.steering if hold else None
        steering = command.steering if person is None else person
        throttle = command.throttle
        self._driver = MODEL if person is None else PERSON
        if self.is_stopped:
            self._driver, throttle = STOPPED, holding_throttle(speed_mph)
        is_takeover = self._driver == PERSON and before != PERSON
        since_s = now_s - self._given_back_s
        if before == PERSON and self._driver != PERSON:
            self._given_back_s = now_s
        return Choice(
            command=Command(steering, throttle),
            driver=self._driver,
            model_steering=command.steering,
            person_steering=person,
            is_takeover=is_takeover,
            is_intervention=is_takeover and since_s > SAME_INTERVENTION_S,
            is_give_back=self._driver == MODEL and before != MODEL,
        )


def holding_throttle(speed_mph: float) -> float:
    """Return what stops a car and keeps it standing: the brake, then nothing."""
    return -1.0 if speed_mph > STANDING_MPH else 0.0
