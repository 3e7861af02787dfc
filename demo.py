"""Do the main job from end to end: record, look, train, drive; and show it on a page.

    python demo.py                     # laps of the embedded simulator's lake
    python demo.py --data data/mine    # a recording of your own
    python demo.py --quick             # in less than two minutes

Everything lands in a new folder, demo/. Stopped or killed, the same command goes on
from the step that is missing; demo/index.html is there when all of it is.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import Parser
from common.errors import InputError
from common.files import check_space, check_writable, read_regular, write_json
from common.leash import Scripts
from common.shell import typed
from common.steps import Begun, Show, Step
from common.text import ESCAPED, counted, unbroken, wrapped

if TYPE_CHECKING:
    from evaluation.closed_loop import Job
    from simulator.world import Observation

HOST = "127.0.0.1"
PAGE, DRIVES = "index.html", ("drive", "road")
# What is imported by one step or another, and takes no time to look for.
PACKAGES = (
    "numpy cv2 pandas scipy seaborn h5py tensorflow keras matplotlib jinja2 "
    "panda3d imageio_ffmpeg platformdirs psutil socketio engineio uvicorn websockets"
).split()
# Epochs of training from the base model: a person's laps take longer to learn.
EPOCHS, EPOCHS_OF_PERSON, QUICK_EPOCHS = 3, 6, 1
# A lap of the lake at 25 mph, as the expert records it.
LAP_M, LAP_ROWS = 1130, 1543
# With --quick so many rows are learnt from.
QUICK_ROWS = 1500
# A road that no model here was trained on: those of the base model end at 1159.
NEW_ROAD, NEW_ROAD_S, QUICK_ROAD_S = 2110, 45.0, 15.0
# Bytes that a row takes: of three images in the recording, of three views in the cache;
# and what the rest takes, with films of some minutes.
ROW_BYTES, ROW_CACHE_BYTES, MORE_BYTES = 40_000, 120_000, 50_000_000
# Set by Ctrl+C, which raises nothing itself: a process would be left that was just
# being started.
STOP = threading.Event()


@dataclass(frozen=True)
class Plan:
    """What is to be done, and where to."""

    out: Path
    """The folder to fill."""
    data: Path | None
    """The recording to learn; without one, the expert makes it."""
    epochs: int
    """Epochs of training."""
    is_quick: bool
    """Whether it does with less of everything."""
    port: int
    """What drive.py listens on; 0 is any free one."""
    unit: str | None = None
    """Of the recording's steering, as recordings/units.py has it; None: normalised."""

    @property
    def recording(self) -> Path:
        """The folder that is learnt from."""
        return self.data or self.out / "lake"

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.out / "model"

    @property
    def scripts(self) -> Scripts:
        """What runs the other commands, and keeps what they print."""
        return Scripts(self.out, STOP)

    @property
    def command(self) -> str:
        """What one types to go on; the port need not be the same again."""
        words: list[object] = ["--data", self.data] if self.data else []
        words += self.unit_flag
        words += ["--out", self.out] if self.out != Path("demo") else []
        words += ["--quick"] if self.is_quick else []
        usual = usual_epochs(self.data, self.is_quick)
        words += ["--epochs", self.epochs] if self.epochs != usual else []
        return typed("demo.py", *words)

    @property
    def unit_flag(self) -> list[str]:
        """What the commands that read the recording are told of its steering."""
        return ["--steering-unit", self.unit] if self.unit else []

    def begun(self, **more: str) -> Begun:
        """Return the folder with what must be the same again."""
        data = os.path.realpath(self.data) if self.data else None
        given = {"--data": data, "--epochs": self.epochs, "--quick": self.is_quick}
        given["--steering-unit"] = self.unit
        return Begun(self.out, given | more, self.command)

    def steps(self) -> tuple[Step, ...]:
        """Return all that is to be done, in order."""
        first = Step(
            "record", "lake/driving_log.csv", 20, lambda show: record(self, show)
        )
        rest = (
            Step("look", "report.json", 12, lambda _: look(self)),
            Step("train", "model/predictions.png", 60, lambda show: train(self, show)),
            Step("drive", "drive.json", 50, lambda show: drive(self, "drive", show)),
            Step("road", "road.json", 30, lambda show: drive(self, "road", show)),
            Step("page", PAGE, 2, lambda _: write_page(self)),
        )
        return rest if self.data else (first, *rest)


# --- The steps ------------------------------------------------------------------------


def record(plan: Plan, show: Show) -> str:
    """Let the expert record a lap of the embedded lake each way round; quickly, one."""
    images = plan.out / ".partial.lake" / "IMG"
    num_images = 3 * LAP_ROWS * (1 if plan.is_quick else 2)

    def watch() -> None:
        if images.is_dir():
            show(len(list(images.iterdir())) / num_images, "")

    way = "forward" if plan.is_quick else "both"
    flags = ("--laps", 1, "--direction", way, "--seed", 1, "--out", plan.recording)
    said = plan.scripts.run(
        "record", "simulate.py", "record", "lake", *flags, watch=watch
    )
    # A long path has taken it into several lines.
    wrote = re.findall(r"^wrote\s.*?(?=^next: |\Z)", said, re.M | re.S)[-1]
    return " ".join(wrote.split())


def look(plan: Plan) -> str:
    """Write the report on what was recorded."""
    folder = plan.out / "report"
    # Without what is written after it, it is from a demo that was killed in between.
    shutil.rmtree(folder, ignore_errors=True)
    words = (plan.recording, *plan.unit_flag, "--out", folder, "--json")
    found = json.loads(plan.scripts.run("look", "explore.py", *words))
    write_json(plan.out / "report.json", found)
    rows = sum(each["usable"] for each in found["recordings"])
    hints = counted(len(found["advice"]), "hint")
    return f"{rows:,} usable rows, {hints} on what to record next"


def train(plan: Plan, show: Show) -> str:
    """Train from the base model, or go on with a training that was stopped."""
    history = plan.run / "history.csv"
    for name in DRIVES:  # They were another model's.
        (plan.out / f"{name}.json").unlink(missing_ok=True)

    def watch() -> None:
        if history.is_file():
            epoch, most = len(history.read_text("utf-8").splitlines()) - 1, plan.epochs
            show(epoch / most, f"epoch {min(epoch + 1, most)}/{most}")

    what: list[object] = ["--resume"]
    if not (plan.run / "config.json").exists():
        what = [plan.recording, *plan.unit_flag]
        what += ["--from", "base", "--epochs", plan.epochs]
        what += ["--limit", QUICK_ROWS] if plan.is_quick else []
    where = ("--name", plan.run.name, "--models-dir", plan.out)
    plan.scripts.run("train", "train.py", *what, *where, watch=watch)
    metrics = json.loads((plan.run / "metrics.json").read_bytes())
    scores = metrics["validation"].values()
    off_deg = max(each["model"]["averaged_1_s"]["deg"] for each in scores)
    return f"from the base model; off by {off_deg:.1f} degrees where not trained"


def drive(plan: Plan, name: str, show: Show) -> str:
    """Serve the model to the embedded simulator over the socket, and film the drive."""
    from common.files import write_bytes
    from common.page import to_svg
    from evaluation.charts import draw_drive
    from evaluation.wire import drive_over_wire

    job, title = drives(plan)[name]

    def watch(seen: Observation) -> None:
        if STOP.is_set():
            raise KeyboardInterrupt
        part = seen.time_s / job.most_s if job.most_s else seen.progress_m / LAP_M
        show(part, f"{seen.progress_m:.0f} m")

    flags = ("--speed", job.speed_mph, "--port", plan.port, "--json")
    words = (f"{name}-server", f"listening on {HOST}:", "drive.py", plan.run, *flags)
    with plan.scripts.serving(*words) as port:
        url, film_path = f"http://{HOST}:{port}", plan.out / f"{name}.mp4"
        result = drive_over_wire(job, url, film_path, watch)
    drawing = to_svg(draw_drive(result.rollout))
    write_bytes(plan.out / f"{name}.svg", drawing.encode(errors=ESCAPED))
    figures = result.figures() | {"title": title, "speed_mph": job.speed_mph}
    write_json(plan.out / f"{name}.json", figures)
    return (
        f"{figures['interventions']} interventions, autonomy "
        f"{figures['autonomy_percent']:.1f} %"
    )


def write_page(plan: Plan) -> str:
    """Write the page that shows all of it."""
    from common.files import write_bytes
    from evaluation.demo_page import demo_page

    notes = [
        f"Training began from the base model; epochs at most: {plan.epochs}.",
        f"random:{NEW_ROAD} is a road that neither has ever seen, its surface, light "
        "and cameras drawn anew (--randomise 1).",
    ]
    notes += [left_out(plan)] if plan.is_quick else []
    recorded = plan.data or "the expert's laps of the embedded lake"
    page = demo_page(plan.out, str(recorded), DRIVES, notes, next_commands(plan))
    write_bytes(plan.out / PAGE, page.encode(errors=ESCAPED))
    return unbroken(plan.out / PAGE)


# --- What is driven, and said ---------------------------------------------------------


def drives(plan: Plan) -> dict[str, tuple[Job, str]]:
    """Return the drives by name: what is driven, and a short title."""
    from evaluation.closed_loop import Job

    model, new = str(plan.run / "model.json"), f"random:{NEW_ROAD}"
    most_s = QUICK_ROAD_S if plan.is_quick else NEW_ROAD_S
    # As evaluate.py and simulate.py draw it, with --randomise 1.
    road = Job(model, new, speed_mph=20.0, seed=NEW_ROAD, randomise=1.0, most_s=most_s)
    return {
        "drive": (Job(model, "lake"), "Embedded lake"),
        "road": (road, f"New road ({new})"),
    }


def left_out(plan: Plan) -> str:
    """Return what --quick leaves out."""
    usual = usual_epochs(plan.data, is_quick=False)
    recorded = "the lap of the lake the other way round"
    if plan.data:
        recorded = f"all rows of the recording behind the first {QUICK_ROWS:,}"
    return (
        f"--quick leaves out {recorded}, {usual - plan.epochs} of {usual} epochs, and "
        f"{NEW_ROAD_S - QUICK_ROAD_S:.0f} of {NEW_ROAD_S:.0f} s on the new road."
    )


def next_commands(plan: Plan) -> list[tuple[str, str]]:
    """Return what one might do next, each with the command for it."""
    model, mine = plan.run, Path("data", "mine")
    report = ("--report", plan.out / "evaluation.html")
    commands: dict[str, tuple[Any, ...]] = {
        "Drive Udacity's simulator, started in Autonomous mode": ("drive.py", model),
        "Measure the model beside one that never steers": (
            *("evaluate.py", model, "zero", "--track", "lake", "jungle", *report),
        ),
        "Drive, and record, yourself": ("simulate.py", "window", "lake", "--out", mine),
        "Learn what you have recorded": ("train.py", mine, "--from", model),
    }
    return [(what, typed(*words)) for what, words in commands.items()]


# --- Command line ---------------------------------------------------------------------


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    from recordings.units import add_unit_flag

    parser = Parser(
        description="Record, look, train and drive: the main job from end to end.\n"
        "Stopped or killed, the same command goes on.",
        epilog="Example:\n  python demo.py --data data/mine --out demo-mine",
    )
    add = parser.add_argument
    recording = "recording to learn (default: the expert makes one)"
    add("--data", type=Path, metavar="DIR", help=recording)
    add_unit_flag(add)
    folder = "folder to make, or to go on with (default: demo)"
    add("--out", type=Path, default=Path("demo"), metavar="DIR", help=folder)
    quick = "take less of everything, and less than two minutes"
    add("--quick", action="store_true", help=quick)
    usual = f"{EPOCHS}; {EPOCHS_OF_PERSON} with --data, {QUICK_EPOCHS} with --quick"
    add("--epochs", type=int, help=f"epochs of training, 1 or more (default: {usual})")
    port_help = "port that drive.py listens on (default: 0, any free one)"
    add("--port", type=int, default=0, help=port_help)
    only = "look for what is in the way, also before anything is installed, and end"
    add("--check", action="store_true", help=only)
    args = parser.parse_args(argv)
    if args.epochs is None:
        args.epochs = usual_epochs(args.data, args.quick)
    if args.epochs < 1:
        parser.error(f"--epochs is {args.epochs}, expected 1 or more")
    if args.steering_unit and not args.data:
        parser.error("argument --steering-unit: only with --data, which it is of")
    if not 0 <= args.port <= 65535:
        parser.error(f"--port is {args.port}, expected 0 to 65535")
    return args


def plan_of(args: argparse.Namespace) -> Plan:
    """Return what the command line asks for.

    Raises:
        InputError: There is no recording that a unit is given for.
    """
    from recordings.units import unit_of

    unit = unit_of(args.steering_unit, args.data) if args.data else None
    return Plan(args.out, args.data, args.epochs, args.quick, args.port, unit)


def usual_epochs(data: Path | None, is_quick: bool) -> int:
    """Return how many epochs are trained if nothing is said."""
    if is_quick:
        return QUICK_EPOCHS
    return EPOCHS_OF_PERSON if data else EPOCHS


def check_places(plan: Plan) -> tuple[str, int]:
    """See, without any package, what would end the demo at one of its later steps.

    Returns:
        The fingerprint of the recording's log, and the rows that it has or will have.

    Raises:
        InputError: The folder cannot be written, the port is taken, or there is no
            recording.
    """
    check_writable(plan.out / PAGE, "--out")
    try:
        socket.create_server((HOST, plan.port)).close()
    except OSError as error:
        # Python adds the address, once more.
        why = str(error.strerror).partition(" (while")[0]
        raise InputError(
            f"cannot listen on {HOST}:{plan.port} ({why}); give another --port, or none"
        ) from error
    content, num_rows = b"", LAP_ROWS * (1 if plan.is_quick else 2)
    if plan.data:
        from recordings.log import MOST_LOG_BYTES, find_log

        content = read_regular(find_log(plan.data), MOST_LOG_BYTES)
        num_rows = content.count(b"\n") + 1
    return hashlib.sha256(content).hexdigest(), num_rows


def check_packages_and_space(plan: Plan, num_rows: int) -> None:
    """See what else would end it, once there is an environment.

    Raises:
        ModuleNotFoundError: A package is missing.
        InputError: The log cannot be read, or there is too little room for what is to
            be written.
    """
    for name in PACKAGES:
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)
    if plan.data:
        from recordings.recording import read_recording

        # Its numbers; its pictures are looked at in a step.
        read_recording(plan.data, check_images=False, unit=plan.unit)
    if not plan.begun().check():  # Else some of it is written already.
        from recordings.images import cache_folder

        own = MORE_BYTES + (0 if plan.data else num_rows * ROW_BYTES)
        check_space({plan.out: own, cache_folder(): num_rows * ROW_CACHE_BYTES})


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Run the demo, or what is missing of it; return the exit status."""
    args = parse_args(argv)
    plan = plan_of(args)
    page = plan.out / PAGE
    if plan.begun().check() and page.is_file():
        where = unbroken(page)
        print(
            wrapped(f"all of it is done: open {where}; for another, give another --out")
        )
        return 0
    fingerprint, num_rows = check_places(plan)
    if args.check:
        print("nothing is in the way")
        return 0
    check_packages_and_space(plan, num_rows)
    begun = plan.begun(**{"driving_log.csv": fingerprint})
    for name in {"SIGINT", "SIGTERM", "SIGHUP"} & set(dir(signal)):
        signal.signal(getattr(signal, name), lambda *_: STOP.set())
    if plan.is_quick:
        print(wrapped(left_out(plan)), flush=True)
    try:
        with begun.writing():
            begun.do(plan.steps())
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped; what is done is kept in {plan.out}, the same command goes on"
        ) from None
    say_how_it_went(plan)
    return 0


def say_how_it_went(plan: Plan) -> None:
    """Print the figures of the drives, what to open and what to type next."""
    from evaluation.demo_page import figures_table, read_drives

    print("", figures_table(read_drives(plan.out, DRIVES)).text(), "", sep="\n")
    for what, command in next_commands(plan):
        print(f"{what}:", f"  {command}", sep="\n", end="\n\n")
    page = unbroken(plan.out / PAGE)
    print(wrapped(f"all of it, with the films: open {page}"))


if __name__ == "__main__":
    sys.exit(main())
