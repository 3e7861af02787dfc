"""Memory that is freed is kept: its pages are not cleared again by the system."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Buffers as large as those of a training step, used and freed again and again.
CODE = """
import resource, sys
from common.memory import keep_freed_memory
if sys.argv[1] == "kept" and not keep_freed_memory():
    sys.exit(3)
import numpy as np
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for i in range(30):
    if i == 10:
        before = faults()
    np.ones(40 << 20, np.uint8)
print(faults() - before)
"""


def faults(how):
    done = subprocess.run(
        [sys.executable, "-c", CODE, how], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == 3:
        pytest.skip("needs glibc")
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs glibc")
def test_pages_of_freed_buffers_serve_again():
    # 20 times 40 MB are 200,000 pages of 4 kB.
    assert faults("kept") < 1000 < 10_000 < faults("given back")
