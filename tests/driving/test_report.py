"""What is counted in a drive, and NVIDIA's autonomy."""

import pytest

from driving.report import DriveReport


def test_autonomy_is_nvidias_formula():
    report = DriveReport(interventions=10, elapsed_s=600.0)
    assert report.autonomy_percent() == pytest.approx(90)
    assert DriveReport(interventions=10, elapsed_s=10.0).autonomy_percent() == 0
