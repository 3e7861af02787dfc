"""Does a model learn from a person who takes the wheel where it leaves the road?

The model drives a track of the embedded simulator; where it leaves the road for the
first time, a scripted person, who steers as the expert does, takes the wheel on the
page of drive.py, lap after lap. The very command that the page then shows fine-tunes
the model on these corrections, and it drives again.

    python benchmarks/experiments/teaching.py models/a/model.json \\
        --track random:203 --out taught

Prints a table, then one JSON line; keeps corrections and model in the folder --out.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.command_line import HelpFormatter
from common.start_up import quiet_tensorflow
from evaluation.closed_loop import Job, drive
from simulator import client
from simulator.expert import Expert
from simulator.tracks import make_track
from simulator.world import Observation, World

ROOT = Path(__file__).resolve().parents[2]

# The person takes the wheel so long before the place, and gives it back after it.
BEFORE_M, AFTER_M = 45.0, 25.0


def drive_alone(model: Path, args: argparse.Namespace) -> tuple[dict[str, Any], list]:
    """Return figures of some laps, and how far along the road each intervention was."""
    result = drive(Job(str(model), args.track, laps=args.laps, speed_mph=args.speed))
    indices = [each.index for each in result.rollout.interventions]
    places_m = result.rollout.distance_m[indices] % make_track(args.track).length_m
    return result.figures(), [round(place_m, 1) for place_m in places_m.tolist()]


class Person:
    """Takes the wheel on the page near a place, and steers as the expert does."""

    def __init__(self, url: str, args: argparse.Namespace, place_m: float) -> None:
        self.track = make_track(args.track)
        self.expert = Expert(self.track, speed_mph=args.speed)
        self.place_m, self.has_wheel, self.takeovers = place_m, False, 0
        page_url = url.replace("http", "ws") + "/cockpit"
        self.page = connect(page_url, origin=url, max_size=None)

    def __call__(self, seen: Observation) -> None:
        """Look at a frame, and do what is to be done."""
        behind_m = (seen.progress_m - self.place_m) % self.track.length_m
        is_near = behind_m < AFTER_M or behind_m > self.track.length_m - BEFORE_M
        if is_near:
            steering = max(-1.0, min(1.0, self.expert(seen).steering))
            self.say(type="steer", steering=steering)
            self.takeovers += not self.has_wheel
        elif self.has_wheel:
            self.say(type="release")
        self.has_wheel = is_near
        # A page that does not read is taken for lost.
        with suppress(TimeoutError):
            while True:
                self.page.recv(timeout=0)

    def say(self, **message: Any) -> None:
        """Send the server a message."""
        self.page.send(json.dumps(message))


def teach(model: Path, args: argparse.Namespace, place_m: float) -> tuple[str, int]:
    """Let a person correct the model; return the command to train, and takeovers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(ROOT / "drive.py"), str(model)]
    command += ["--port", str(port), "--speed", str(args.speed)]
    command += ["--corrections", str(args.out / "corrections")]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    world = World(make_track(args.track), cameras=("center",))
    try:
        connection = client.Client(url, world)
        person = Person(url, args, place_m)
        client.drive(connection, args.laps, on_frame=person)
        connection.close()
        person.say(type="end")
        said, _ = server.communicate(timeout=60)
    finally:
        server.kill()
        world.close()
    (line,) = [text.strip() for text in said.splitlines() if "python train.py" in text]
    return line[line.index("python train.py") :], person.takeovers


def train(command: str, args: argparse.Namespace) -> Path:
    """Run the command that the page shows, shorter; return the path of the model."""
    words = shlex.split(command)[1:]
    name = words[words.index("--name") + 1]
    words += ["--models-dir", str(args.out), "--epochs", str(args.epochs)]
    words += ["--steps-per-epoch", str(args.steps)]
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
    return args.out / name / "model.json"


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=HelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--track", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    add = parser.add_argument
    add("--laps", type=int, default=3, help="laps of each part (default: 3)")
    add("--speed", type=float, default=20.0, help="speed in mph (default: 20)")
    add("--epochs", type=int, default=4, help="epochs of fine-tuning (default: 4)")
    add("--steps", type=int, default=150, help="steps of an epoch (default: 150)")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    quiet_tensorflow()
    os.chdir(ROOT)
    args.out.mkdir(parents=True)
    before, places = drive_alone(args.model, args)
    if not places:
        print(f"{args.model} leaves {args.track} nowhere: nothing to teach")
        return 1
    command, takeovers = teach(args.model, args, places[0])
    print(f"corrected {takeovers} times at {places[0]:.0f} m\n{command}")
    model = train(command, args)
    after, places_after = drive_alone(model, args)
    figures = {"place_m": places[0], "takeovers": takeovers}
    for name, found, at in (("before", before, places), ("after", after, places_after)):
        here = sum(abs(place - places[0]) < BEFORE_M for place in at)
        error_m = found["mean_abs_cross_track_error_m"]
        print(
            f"{name:<8}{here} interventions there, {len(at) - here} elsewhere, in "
            f"{found['laps']} laps; autonomy {found['autonomy_percent']:.1f} %, "
            f"at 1 m {found['autonomy_1_m_percent']:.1f} %, mean error {error_m:.2f} m"
        )
        figures[name] = {"there": here, "elsewhere": len(at) - here, **found}
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
