"""The embedded simulator from the command line: drive, record, render.

    python simulate.py window lake --out data/mine
    python simulate.py record lake --laps 2 --seed 1 --out data/lake1
    python simulate.py drive lake --laps 3
    python simulate.py render jungle --out jungle.png

A track is lake, jungle, mountain, or random:SEED for any of as many roads as one likes,
winding:SEED for those that bend as tightly as the jungle, serpentine:SEED for those
that come back beside themselves as well.
"""

from __future__ import annotations

from common.ends import ends_in_one_line

import argparse
import json
import math
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from common.bar import Bar, say_beside
from common.car import autonomy_percent, mph_and_mps
from common.command_line import Parser, print_settings
from common.errors import InputError
from common.files import check_writable, write_picture
from common.shell import quoted, typed
from common.text import counted, unbroken, wrapped

if TYPE_CHECKING:
    from collections.abc import Iterator

    from simulator.client import DriveSummary
    from simulator.practice import RecordJob
    from simulator.scenery import SceneSettings
    from simulator.track import Track
    from simulator.variants import Variant
    from simulator.world import Observation, World

DEFAULT_URL = "http://127.0.0.1:4567"
VIDEO_FPS = 15
ONE_ROAD = "random:SEED, winding:SEED, serpentine:SEED"
# What is written, and where to, is said when it is.
NO_SETTINGS = ("out", "video", "json")


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Return the settings given on the command line."""
    parser = Parser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_window(commands)
    _add_record(commands)
    _add_drive(commands)
    _add_render(commands)
    args = parser.parse_args(argv)
    # Of the command that is given, whose flags these are.
    args.changes = args.parser.changes(args, *NO_SETTINGS)
    return args


def _add_command(
    commands: argparse._SubParsersAction,
    name: str,
    summary: str,
    example: str,
    roads: str = ONE_ROAD,
) -> Parser:
    """Add a command with the options that all of them have."""
    parser: Parser = commands.add_parser(
        name,
        help=summary.splitlines()[0],
        description=summary,
        epilog=f"Example:\n  python simulate.py {name} {example}",
    )
    parser.set_defaults(parser=parser)
    add = parser.add_argument
    add("track", help=f"lake, jungle, mountain, {roads}")
    seed = "seed of land, plants, textures and noise (default: 0)"
    add("--seed", type=int, default=0, help=seed)
    ways = ("forward", "reverse", "both")
    way = "forward, reverse, or both one after the other (default: forward)"
    add("--direction", choices=ways, default="forward", metavar="WAY", help=way)
    add = parser.add_argument_group("scenery").add_argument
    add("--look", help="kind of country, such as desert (default: the track's)")
    height = "sun over the horizon, 0 to 90 degrees (default: the look's)"
    add("--sun-elevation", type=float, metavar="DEG", help=height)
    direction = "sun from east, + is to the north, in degrees (default: the look's)"
    add("--sun-azimuth", type=float, metavar="DEG", help=direction)
    add("--haze", type=float, default=1.0, help="gain of haze, 0 to 2 (default: 1)")
    add("--no-shadows", action="store_true", help="leave out cast shadows")
    variation = "how far colours leave the look's, 0 to 1 (default: 0)"
    add("--variation", type=float, default=0.0, help=variation)
    anew = "draw surface, weather, cameras, width anew, 0 to 1 (default: 0)"
    add("--randomise", type=float, default=0.0, metavar="X", help=anew)
    return parser


def _add_window(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "window",
        "Drive yourself.\n\nArrows or WASD, a dragged mouse or a gamepad drive; the "
        "space bar cruises, R starts and\nstops a recording, Backspace puts the car "
        "back onto the road, Esc leaves.",
        "lake --out data/mine",
    )
    out = "folder that key R records into (default: nothing is recorded)"
    parser.add_argument("--out", type=Path, metavar="DIR", help=out)
    names = ("auto", "opengl", "software")
    renderer = "opengl, software, or auto: what works (default: auto)"
    add = parser.add_argument
    add("--renderer", choices=names, default="auto", metavar="NAME", help=renderer)


def _add_record(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "record",
        "Let the expert drive and write a recording as the stock simulator does.\n\n"
        "Of several roads each has its own folder in --out, and as its seed the sum of "
        "--seed and\nits number. Killed, the same command goes on.",
        "lake --laps 2 --seed 1 --noise 0.2 --out data/lake1\n  python simulate.py "
        "record random:1-40 --randomise 1 --frames 700 --out data/practice",
        roads=f"{ONE_ROAD}, or several: random:FIRST-LAST",
    )
    add = parser.add_mutually_exclusive_group().add_argument
    add("--laps", type=int, default=1, help="laps each way round (default: 1)")
    add("--frames", type=int, help="rows each way round, 15 a second, in place of laps")
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder to make")
    workers = "how many roads at a time (default: 1)"
    add("--workers", type=int, default=1, metavar="N", help=workers)
    add = parser.add_argument_group("expert").add_argument
    add("--speed", type=float, default=25.0, help="speed, 3 to 30 mph (default: 25)")
    lane = "metres right of the centre line (default: the track's lane)"
    add("--lane", type=float, metavar="M", help=lane)
    noise = "disturbance of the steering that is not logged, 0 to 1 (default: 0)"
    add("--noise", type=float, default=0.0, help=noise)


def _add_drive(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "drive",
        "Be the simulator for a running drive.py, without a window.",
        "lake --laps 3 --json",
    )
    add = parser.add_argument
    add("--laps", type=int, default=1, help="laps to complete (default: 1)")
    add("--url", default=DEFAULT_URL, help=f"drive server (default: {DEFAULT_URL})")
    pace = "send 15 frames a second, and do not wait for answers"
    add("--real-time", action="store_true", help=pace)
    end = "simulated seconds after which it gives up (default: 900)"
    add("--max-time", type=float, default=900.0, metavar="S", help=end)
    add("--video", type=Path, metavar="MP4", help="film the drive")
    add("--json", action="store_true", help="print one JSON document")


def _add_render(commands: argparse._SubParsersAction) -> None:
    parser = _add_command(
        commands,
        "render",
        "Draw a contact sheet (.png), or film the expert (.mp4).\n\nA sheet shows "
        "places along one road, or of several roads one each.",
        "jungle --out jungle.mp4 --camera chase --seconds 20\n  python simulate.py "
        "render random:1-24 --randomise 1 --out roads.png",
        roads=f"{ONE_ROAD}, or several: random:FIRST-LAST",
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, help=".png or .mp4 to write")
    names = ("center", "left", "right", "chase")
    camera = "center, left, right, or chase: from behind (default: center)"
    add("--camera", choices=names, default="center", metavar="NAME", help=camera)
    add("--seconds", type=float, default=20.0, help="length of a film (default: 20)")


@ends_in_one_line
def main(argv: list[str] | None = None) -> int:
    """Run a command; return the exit status, as common.ends says."""
    args = parse_args(argv)
    commands = {"window": window, "record": record, "drive": drive, "render": render}
    from simulator.errors import REFUSALS

    try:
        return commands[args.command](args)
    except (InputError, *REFUSALS) as error:
        raise InputError(f"simulate.py: {error}") from error


def check_new(path: Path | None, flag: str) -> None:
    """See that what is to be written is not there, and can be written.

    Raises:
        InputError: One of them is not so; the flag names another place.
    """
    if path is not None:
        if path.exists():
            raise InputError(f"{path} exists; remove it or give another {flag}")
        check_writable(path, flag)


def window(args: argparse.Namespace) -> int:
    """Let a person drive, and record on demand."""
    from simulator.window import LiveWorld, Session, Window

    check_new(args.out, "--out")
    variant = next(_variants(args, args.track, args.seed))
    print_settings(args.changes)
    road = variant.track
    with Window(f"{road.name} - simulate.py", args.renderer) as opened:
        print(f"drawn by {opened.renderer}; Esc leaves", flush=True)
        with Bar("building the road"):
            world = LiveWorld(road, cameras=(), settings=variant.settings)
        session = Session(world, opened, args.out, args.seed)
        session.run()
    for take in session.takes:
        rows = f"{counted(take.num_rows, 'row')} of 3 images"
        pace = f"at {take.pace:.0%} of real time"
        print(wrapped(f"wrote {unbroken(take.folder)}: {rows}, {pace}"))
    if session.takes:
        print(f"next: {typed('explore.py', session.takes[0].folder)}")
    if session.failure:
        raise InputError(f"{session.failure}; mend that, and record the rest")
    return 0


def record(args: argparse.Namespace) -> int:
    """Write a recording of the expert's drive, or one of each of several roads."""
    from simulator import practice

    if args.workers < 1:
        raise InputError(f"--workers is {args.workers}, expected 1 or more")
    roads = _named_roads(args)
    if len(roads) > 1:
        return _record_many(args, roads)
    check_new(args.out, "--out")
    job = _record_job(args, args.track, args.seed, args.out)
    variants = job.variants()
    print_settings(args.changes)
    started_s = time.monotonic()
    length_m = sum(variant.track.length_m * args.laps for variant in variants)
    total = args.frames * len(variants) if args.frames else length_m
    driven_m = 0.0

    def move(seen: Observation) -> None:
        nonlocal driven_m
        # Put back onto the road, or on its way back, it drives no less than it has.
        bar.add(1 if args.frames else max(0.0, seen.progress_m - driven_m))
        driven_m = seen.progress_m

    with Bar(f"recording {args.track}", total, "rows" if args.frames else "m") as bar:
        num_rows = practice.record(job, move)
    rate = num_rows / (time.monotonic() - started_s)
    rows = f"{counted(num_rows, 'row')} of 3 images"
    print(wrapped(f"wrote {unbroken(args.out)}: {rows}, {rate:.0f} rows/s"))
    print(f"next: {typed('explore.py', args.out)}")
    return 0


def _record_many(args: argparse.Namespace, roads: list[tuple[str, int]]) -> int:
    """Write a recording of each road that has none yet."""
    from simulator.practice import is_recorded, record_all

    check_writable(args.out / "a road", "--out")
    jobs = [
        _record_job(args, name, seed, args.out / name.replace(":", "_"))
        for name, seed in roads
    ]
    jobs[0].variants()  # What no road can have is said before any is recorded.
    done = sum(map(is_recorded, jobs))
    print_settings(args.changes)
    failed = 0
    with Bar("recording", len(jobs), "roads") as bar:
        bar.to(done)
        for job, found in record_all(jobs, args.workers):
            bar.add()
            if isinstance(found, str):
                failed += 1
                say_beside(wrapped(f"{job.track} is left out: {found}"))
    print(
        wrapped(
            f"{len(jobs) - failed} of {len(jobs)} roads are in {unbroken(args.out)}"
        )
    )
    if failed == len(jobs):
        return 1
    print(f"next: {typed('train.py')} {quoted(args.out)}/*")
    return 0


def _record_job(
    args: argparse.Namespace, track: str, seed: int, folder: Path
) -> RecordJob:
    from simulator.practice import RecordJob

    return RecordJob(
        folder,
        track,
        direction=args.direction,
        scenery=_scene_settings(args, seed),
        randomise=args.randomise,
        seed=seed,
        num_laps=args.laps,
        num_rows=args.frames,
        speed_mph=args.speed,
        lane_m=args.lane,
        noise=args.noise,
    )


def drive(args: argparse.Namespace) -> int:
    """Drive for a server, and print how it went."""
    from simulator import client

    if args.laps < 1:
        raise InputError("--laps must be 1 or more")
    if not args.max_time > 0:
        raise InputError(f"--max-time is {args.max_time}, expected above 0")
    if args.video:
        check_writable(args.video, "--video")
    client.websocket_address(args.url)  # What is none is said before a road is made.
    variants = list(_variants(args, args.track, args.seed))
    if not args.json:
        print_settings(args.changes)
    complete = True
    for variant in variants:
        road, summary = variant.track, _drive_road(args, variant)
        complete &= summary.complete
        autonomy = autonomy_percent(summary.interventions, summary.simulated_s)
        if args.json:
            print(json.dumps(asdict(summary) | {"autonomy_percent": autonomy}))
        else:
            print(_describe(road, summary, autonomy))
    return 0 if complete else 1


def _drive_road(args: argparse.Namespace, variant: Variant) -> DriveSummary:
    """Drive one road for the server, and film it if that is wanted."""
    from simulator import client
    from simulator.film import FILM_SIZE, Film, film_frame

    def show(seen: Observation) -> None:
        bar.to(seen.progress_m, f"{seen.time_s:.0f} s driven")
        if film is not None:
            film.add(film_frame(world, seen))

    road, video = variant.track, args.video
    with Bar(f"connecting to {args.url}"):
        world = _make_world(variant, ("center",))
        connection = client.Client(args.url, world)
    filming = Film(video, FILM_SIZE, VIDEO_FPS) if video else nullcontext()
    way = Bar(f"driving {road.name}", road.length_m * args.laps, "m")
    with filming as film, way as bar:
        summary = client.drive(
            connection,
            args.laps,
            is_real_time=args.real_time,
            max_simulated_s=args.max_time,
            on_frame=show,
        )
    connection.close()
    world.close()
    return summary


def _describe(road: Track, summary: DriveSummary, autonomy: float) -> str:
    """Return a summary as lines for a person."""
    times = ", ".join(f"{time_s:.1f} s" for time_s in summary.lap_times_s)
    laps = counted(summary.laps, "lap") + (f" ({times})" if times else "")
    lines = (
        f"{road.name}: {laps}, {counted(summary.interventions, 'intervention')} "
        f"({summary.off_road} off road, {counted(summary.collisions, 'collision')}, "
        f"{summary.stuck} stuck), autonomy {autonomy:.1f} %",
        f"cross-track error: mean {summary.mean_abs_cross_track_error_m:.2f} m, "
        f"RMS {summary.rms_cross_track_error_m:.2f} m, "
        f"at most {summary.max_abs_cross_track_error_m:.2f} m",
        f"{counted(summary.frames, 'frame')} answered, mean "
        f"{mph_and_mps(summary.mean_speed_mph)}, "
        f"{summary.simulated_s:.0f} s simulated in {summary.wall_s:.0f} s",
    )
    return "\n".join(map(wrapped, lines))


def render(args: argparse.Namespace) -> int:
    """Draw a contact sheet of places along the road, or film the expert."""
    if args.out.suffix not in (".png", ".mp4"):
        raise InputError(f"{args.out}: expected a name that ends in .png or .mp4")
    if not 0 <= args.seconds < math.inf:
        raise InputError(f"--seconds is {args.seconds}, expected 0 or more")
    check_new(args.out, "--out")
    from simulator import film

    variants = [next(_variants(args, *road)) for road in _named_roads(args)]
    if args.out.suffix == ".mp4" and len(variants) > 1:
        raise InputError(f"{args.track}: a film shows one road")
    print_settings(args.changes)
    if args.out.suffix == ".mp4":
        with Bar("filming", film.num_frames(args.seconds), "frames") as bar:
            one = (variants[0], args.camera, args.seconds, args.out)
            film.film_expert(*one, on_frame=bar.add)
    else:
        with Bar("drawing", len(variants), "roads") as bar:
            sheet = film.contact_sheet(variants, args.camera, on_road=bar.add)
            write_picture(args.out, sheet)
    print(wrapped(f"wrote {unbroken(args.out)}"))
    return 0


def _named_roads(args: argparse.Namespace) -> list[tuple[str, int]]:
    """Return the name and the seed of each road that is asked for."""
    from simulator.tracks import road_seed, track_names

    names = track_names([args.track])
    if len(names) == 1:
        return [(args.track, args.seed)]
    return [(name, args.seed + (road_seed(name) or 0)) for name in names]


def _variants(args: argparse.Namespace, name: str, seed: int) -> Iterator[Variant]:
    """Yield a road in each direction that is asked for."""
    from simulator.tracks import make_track
    from simulator.variants import draw_variant

    track, scenery = make_track(name), _scene_settings(args, seed)
    for way in ("forward", "reverse"):
        if args.direction in (way, "both"):
            road = track if way == "forward" else track.reversed()
            yield draw_variant(road, scenery, seed, args.randomise)


def _make_world(variant: Variant, cameras: tuple[str, ...]) -> World:
    from simulator.world import World

    return World(variant.track, cameras=cameras, settings=variant.settings)


def _scene_settings(args: argparse.Namespace, seed: int) -> SceneSettings:
    from simulator.scenery import SceneSettings

    return SceneSettings(
        scenery_seed=seed,
        texture_seed=seed,
        look=args.look,
        sun_azimuth_deg=args.sun_azimuth,
        sun_elevation_deg=args.sun_elevation,
        haze=args.haze,
        shadows=0.0 if args.no_shadows else None,
        variation=args.variation,
    )


if __name__ == "__main__":
    sys.exit(main())
