"""What the tests of the review share: review.py itself, and a page that looks at it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DESK = {"viewport": {"width": 1280, "height": 800}}
# The picture of a row is there.
SHOWS = "document.getElementById('center').dataset.row == '%d'"
IS_SAVED = "document.getElementById('status').dataset.kind == 'saved'"
IS_IDLE = "!/%|Reading/.test(document.getElementById('status').textContent)"


class Review:
    """A review.py that serves; `url` is its address, as it was printed."""

    def __init__(self, *words, port=0):
        command = [sys.executable, "-u", str(ROOT / "review.py"), *map(str, words)]
        self.process = subprocess.Popen(
            [*command, "--port", str(port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        said = ""
        while not (found := re.search(r"review: (http://\S+)", said)):
            line = self.process.stderr.readline()
            assert line, said
            said += line
        self.url = found[1]
        self.host = re.search(r"//([^/]+)/", self.url)[1]
        self.port = int(self.host.rpartition(":")[2])

    def request(self, method, path, body=None, **headers):
        """Ask the server; return the answer, and its content."""
        host = f"127.0.0.1:{self.port}"
        client = http.client.HTTPConnection(host, timeout=30)
        if method in ("PUT", "POST"):
            headers = {"Origin": f"http://{host}", **headers}
        with closing(client):
            client.request(method, path, body=body, headers=headers)
            with client.getresponse() as answer:
                return answer, answer.read()

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def put_marks(self, version, marks, **headers):
        body = json.dumps({"version": version, "marks": marks})
        answer, content = self.request(
            "PUT", "/marks?recording=0", body=body, **headers
        )
        return answer.status, content

    def state(self):
        return json.loads(self.get("/state")[1])

    def until(self, holds, timeout_s=60):
        """Wait for a state for which something holds; return it."""
        deadline = time.monotonic() + timeout_s
        while not holds(state := self.state()):
            assert time.monotonic() < deadline, state
            time.sleep(0.05)
        return state

    def until_idle(self):
        return self.until(
            lambda s: not s["doing"] and all(r["has_moments"] for r in s["recordings"])
        )

    def stop(self):
        """Press Ctrl+C; return what it printed at the end."""
        self.process.send_signal(signal.SIGINT)
        out, err = self.process.communicate(timeout=60)
        return out, err

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextmanager
def reviewing(*words, **options):
    review = Review(*words, **options)
    try:
        yield review
    finally:
        review.kill()


def mark(first, last, kind="leave-out", note=""):
    return {"from_row": first, "to_row": last, "mark": kind, "note": note}
