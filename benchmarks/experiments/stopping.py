"""How far does the car go when drive.py is told to end, and is it still on the road?

The embedded simulator drives the lake for a real drive.py, which hears Ctrl+C at places
evenly over a lap; then the car does what it was told last until it stands.

    python benchmarks/experiments/stopping.py models/a/model.json --speed 25

Prints a table, then one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import signal
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from common.command_line import HelpFormatter  # noqa: E402
from common.table import text_table  # noqa: E402
from simulator import client  # noqa: E402
from simulator.tracks import make_track  # noqa: E402
from simulator.world import FRAME_DT_S, Observation, World  # noqa: E402

# A lap of the lake at 15 mph takes some three minutes; the car has set off by then.
FIRST_S, LAP_S = 12.0, 60.0
# A car without drive rolls for no longer.
MOST_ROLLING_S = 30.0
STANDING_MPS = 0.1


def stop_at(model: Path, speed_mph: float, after_s: float) -> tuple[float, bool]:
    """Return how far the car goes after Ctrl+C, in metres, and whether off the road.

    Args:
        model: The model.json that drives.
        speed_mph: The speed that it holds.
        after_s: Simulated time at which drive.py hears Ctrl+C.
    """
    command = [sys.executable, "drive.py", str(model), "--port", "0"]
    command += ["--speed", str(speed_mph)]
    server = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    said = next(line for line in server.stderr if line.startswith("listening on "))
    url = "http://" + said.removeprefix("listening on ").partition(";")[0]
    world = World(make_track("lake"), cameras=("center",))
    seen: list[Observation] = []

    def look(now: Observation) -> None:
        if now.time_s >= after_s:
            if not seen:
                server.send_signal(signal.SIGINT)
            seen.append(now)

    connection = client.Client(url, world)
    # The server leaves, as it was told to.
    with contextlib.suppress(client.DriveServerError):
        client.drive(connection, 100, on_frame=look, max_simulated_s=after_s + 60)
    server.communicate(timeout=30)
    for _ in range(round(MOST_ROLLING_S / FRAME_DT_S)):
        if seen[-1].speed_mps < STANDING_MPS:
            break
        seen.append(world.step(0.0, 0.0))
    world.close()
    places = [(each.x_m, each.y_m) for each in seen]
    gone_m = sum(map(math.dist, places, places[1:]))
    return gone_m, any(each.off_road for each in seen)


def main(argv: list[str] | None = None) -> int:
    """Stop at every place, and print how it went."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="Example:\n  python benchmarks/experiments/stopping.py MODEL --places 4",
        formatter_class=HelpFormatter,
    )
    parser.add_argument("model", type=Path, help="model.json that drives the lake")
    parser.add_argument("--speed", type=float, default=25.0, help="mph (default: 25)")
    parser.add_argument("--places", type=int, default=12, help="(default: 12)")
    args = parser.parse_args(argv)
    rows, model = [("place", "m", "off the road")], args.model.resolve()
    found = []
    for place in range(args.places):
        after_s = FIRST_S + place * LAP_S / args.places
        gone_m, is_off = stop_at(model, args.speed, after_s)
        found.append((gone_m, is_off))
        rows.append((f"{after_s:.0f} s", f"{gone_m:.1f}", "yes" if is_off else "no"))
    print(text_table(rows, "<><"))
    distances_m = [gone_m for gone_m, _ in found]
    document = {
        "speed_mph": args.speed,
        "places": args.places,
        "median_m": round(statistics.median(distances_m), 1),
        "most_m": round(max(distances_m), 1),
        "off_road": sum(is_off for _, is_off in found),
    }
    print(json.dumps(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
