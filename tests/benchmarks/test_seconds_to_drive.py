"""From a recording to a car that drives, in seconds."""

import json

import numpy as np
import pytest
import seconds_to_drive
from made_recordings import write_recording


@pytest.mark.slow
def test_both_beginnings_are_trained_timed_and_driven(tmp_path, capsys):
    recording = write_recording(tmp_path / "a", 0.2 * np.sin(np.arange(600) / 8))
    seconds_to_drive.main([str(recording), "--epochs", "1"])
    runs = json.loads(capsys.readouterr().out.splitlines()[-1])["runs"]
    assert [run["begun"] for run in runs] == ["base", "scratch"]
    for run in runs:
        assert 0 < run["epochs_s"] < run["whole_s"]
        assert len(run["interventions"]) == len(run["mean_m"]) == 2
    # What knows nothing leaves the road; the base model does not forget it in an epoch.
    assert sum(runs[0]["interventions"]) < sum(runs[1]["interventions"])
