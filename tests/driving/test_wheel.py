"""Who has the wheel, at times that are passed in."""

import pytest

from driving.pilot import Command, SpeedController
from driving.wheel import MODEL, PERSON, SILENCE_S, STOPPED, Wheel, holding_throttle

BY_MODEL = Command(steering=-0.5, throttle=0.3)


def test_model_drives_when_nobody_is_at_the_wheel():
    choice = Wheel(15.0).choose(BY_MODEL, 10.0, now_s=1.0)
    assert (choice.command, choice.driver) == (BY_MODEL, MODEL)
    assert choice.person_steering is None
    assert not (choice.is_takeover or choice.is_intervention or choice.is_give_back)


def test_person_steers_and_the_speed_is_held_as_before():
    wheel = Wheel(15.0)
    assert wheel.steer(page=1, steering=0.8, now_s=1.0)
    choice = wheel.choose(BY_MODEL, 10.0, now_s=1.01)
    assert choice.command == Command(steering=0.8, throttle=0.3)
    assert (choice.driver, choice.model_steering) == (PERSON, -0.5)
    assert choice.is_takeover and choice.is_intervention
    assert not wheel.choose(BY_MODEL, 10.0, now_s=1.02).is_takeover


def test_a_person_who_falls_silent_has_let_go():
    wheel = Wheel(15.0)
    wheel.steer(page=1, steering=0.8, now_s=1.0)
    last_s = 1.0 + SILENCE_S
    assert wheel.choose(BY_MODEL, 10.0, now_s=last_s - 1e-6).driver == PERSON
    choice = wheel.choose(BY_MODEL, 10.0, now_s=last_s + 1e-6)
    assert (choice.driver, choice.is_give_back) == (MODEL, True)


def test_silence_and_a_frame_at_the_slowest_rate_are_less_than_200_ms():
    """A stock simulator shows 20 frames a second or more, and the next is answered."""
    assert SILENCE_S + 1 / 20 <= 0.2


def test_release_gives_the_wheel_back_at_once():
    wheel = Wheel(15.0)
    wheel.steer(page=1, steering=0.8, now_s=1.0)
    wheel.choose(BY_MODEL, 10.0, now_s=1.0)
    wheel.release(page=1)
    choice = wheel.choose(BY_MODEL, 10.0, now_s=1.001)
    assert (choice.command, choice.is_give_back) == (BY_MODEL, True)


def test_first_page_has_the_wheel_until_it_lets_go():
    wheel = Wheel(15.0)
    assert wheel.steer(page=1, steering=0.8, now_s=1.0)
    assert not wheel.steer(page=2, steering=-1.0, now_s=1.05)
    wheel.release(page=2)
    assert wheel.holder(1.1) == 1 and not wheel.is_free_for(2, 1.1)
    assert wheel.choose(BY_MODEL, 10.0, now_s=1.1).command.steering == 0.8
    assert wheel.steer(page=2, steering=-1.0, now_s=1.1 + SILENCE_S)
    assert not wheel.steer(page=1, steering=0.8, now_s=1.1 + SILENCE_S)


def test_a_key_let_go_and_pressed_again_is_one_intervention():
    wheel, interventions = Wheel(15.0), 0
    for start_s in (1.0, 1.5, 2.0, 10.0):
        wheel.steer(page=1, steering=0.8, now_s=start_s)
        taken = wheel.choose(BY_MODEL, 10.0, start_s)
        assert taken.is_takeover
        interventions += taken.is_intervention
        wheel.release(page=1)
        assert wheel.choose(BY_MODEL, 10.0, start_s + 0.2).is_give_back
    assert interventions == 2


def test_stop_brakes_and_holds_whoever_steers():
    wheel = Wheel(15.0)
    wheel.stop()
    choice = wheel.choose(BY_MODEL, 10.0, now_s=1.0)
    assert (choice.command, choice.driver) == (Command(-0.5, -1.0), STOPPED)
    wheel.steer(page=1, steering=0.8, now_s=1.0)
    choice = wheel.choose(BY_MODEL, 0.5, now_s=1.0)
    assert choice.command == Command(0.8, 0.0) and not choice.is_intervention
    wheel.release(page=1)
    wheel.go()
    choice = wheel.choose(BY_MODEL, 0.0, now_s=1.1)
    assert choice.command == BY_MODEL and choice.is_give_back


@pytest.mark.parametrize(
    ("speed_mph", "throttle"), [(30, -1), (1.1, -1), (1, 0), (0, 0)]
)
def test_brake_is_let_go_before_it_is_the_reverse_gear(speed_mph, throttle):
    assert holding_throttle(speed_mph) == throttle


def test_a_controller_that_is_reset_is_like_a_new_one():
    used = SpeedController(15.0)
    for _ in range(50):
        used(13.0, 0.1)
    assert used(13.0, 0.1) != SpeedController(15.0)(13.0, 0.1)
    used.reset()
    assert used(13.0, 0.1) == SpeedController(15.0)(13.0, 0.1)
