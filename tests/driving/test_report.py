"""What is counted in a drive, and NVIDIA's autonomy."""

import pytest
from printed import check_printed

from driving.report import DriveReport


def test_autonomy_is_nvidias_formula():
    report = DriveReport(interventions=10, elapsed_s=600.0)
    assert report.autonomy_percent() == pytest.approx(90)
    assert DriveReport(interventions=10, elapsed_s=10.0).autonomy_percent() == 0


def test_a_report_fits_a_terminal_however_long_the_drive_was():
    report = DriveReport(frames=1_234_567, interventions=1, elapsed_s=86_400 / 7)
    report.latencies_ms.extend([0.1 + 0.2, 1e-5])
    said = report.summary()
    check_printed(said)
    assert "1,234,567 frames in 12343 s (100.0/s)" in said and "1 intervention," in said
    assert "the car has never moved" in said
