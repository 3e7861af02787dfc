"""How long does it take until the simulator obeys a key of the cockpit's page?

A key is pressed and let go in headless Chromium while the embedded simulator drives at
its 15 frames a second: from the key event in the browser, over the page's socket and
the server, to the first command of the new driver in the simulator. A frame of 67 ms
bounds how soon there can be one.

    python benchmarks/takeover.py

Prints a table, then one JSON line. Needs chromium, node and `make setup`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
HELD_S = 0.3
BETWEEN_S = (0.4, 0.6)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    presses = "presses of the key (default: 40)"
    parser.add_argument("--presses", type=int, default=40, help=presses)
    return parser.parse_args(argv)


def measure(presses: int) -> dict[str, np.ndarray]:
    """Press a key so many times.

    Returns:
        For "pressed" and "let go" float (n, 2): milliseconds until the first command,
        and how many pictures later than the first one after the event it came for.
    """
    import cockpit_drive as cockpit

    from simulator import tracks
    from simulator.world import World

    rng = np.random.default_rng(0)
    browser = cockpit.Browser(shutil.which("node"), shutil.which("chromium"))
    world = World(tracks.lake(), seed=1, cameras=("center",))

    def scenario() -> list[float]:
        browser.until_banner("The model drives")
        for _ in range(presses):
            time.sleep(rng.uniform(*BETWEEN_S))
            cockpit.hold(browser, "d", HELD_S)
        time.sleep(HELD_S)
        return browser.evaluate("keys")

    with cockpit.serving() as url:
        browser("open", url=url, page=cockpit.DESK)
        browser.evaluate(cockpit.WATCH)
        client, keys = cockpit.drive_during(url, world, scenario)
    browser.close()
    found: dict[str, list[tuple[float, int]]] = {"pressed": [], "let go": []}
    drivers = {
        "pressed": lambda steering: steering != cockpit.STEERING,
        "let go": lambda steering: steering == cockpit.STEERING,
    }
    for key_s, (name, is_by) in zip(keys, itertools.cycle(drivers.items())):
        arrived_s, late = client.first_answer(key_s, is_by)
        found[name].append((1000 * (arrived_s - key_s), late))
    return {name: np.array(each) for name, each in found.items()}


def main(argv: list[str] | None = None) -> int:
    args = parse_args(argv)
    if not shutil.which("chromium") or not shutil.which("node"):
        print("left out: needs chromium and node")
        return 0
    results = {}
    print(f"{'key':<10}{'median':>10}{'p90':>10}{'most':>10}{'pictures late':>16}")
    for name, rows in measure(args.presses).items():
        median, p90, most = np.percentile(rows[:, 0], (50, 90, 100))
        late = int(rows[:, 1].max())
        print(f"{name:<10}{median:>7.0f} ms{p90:>7.0f} ms{most:>7.0f} ms{late:>16}")
        results[name] = {"median_ms": round(median, 1), "most_ms": round(most, 1)}
        results[name]["pictures_late"] = late
    print(json.dumps({"presses": args.presses, "takeover": results}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
