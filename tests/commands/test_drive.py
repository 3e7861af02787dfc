"""The command that drives: what it refuses, and drives from end to end."""

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from running_drive import make_jpegs, next_event, telemetry
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

import train
from common.errors import InputError
from drive import check_input, main, parse_args
from driving.port import listen
from driving.recorder import DriveRecorder
from recordings.recording import read_recording

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    pytest.importorskip("keras")
    from model import build_model
    from network.files import save_model

    return save_model(build_model("default"), tmp_path_factory.mktemp("model"))


# --- Refusals -------------------------------------------------------------------------


def test_port_in_use_is_said_before_anything_is_loaded(model_path, capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        assert main([str(model_path), "--port", str(port)]) == 1
    assert "does another drive.py run?" in capsys.readouterr().err


def test_port_out_of_range_is_refused(capsys):
    assert main(["model.json", "--port", "99999"]) == 1
    assert capsys.readouterr().err == "--port is 99999, expected 0 to 65535\n"


def test_an_address_to_allow_is_one_and_needs_a_host(model_path, capsys):
    arguments = [str(model_path), "--port", "0", "--allow", "pc.local"]
    assert main([*arguments, "--host", "0.0.0.0"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("--allow: 'pc.local'") and "192.168.1.20" in line
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert "only with --host" in capsys.readouterr().err


def test_it_says_that_any_simulator_may_come(model_path, tmp_path):
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [*command, "--host", "0.0.0.0"], stderr=log, cwd=tmp_path
        )
    warning = until_said(log_path, process, "warning: whoever")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert "sends no token" in warning and "--allow ADDRESS" in warning


def test_missing_model_is_said_in_one_line(tmp_path, capsys):
    for name in ("none.json", "none.tflite"):
        assert main([str(tmp_path / name), "--port", "0"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{name}: no such file" in line


def test_speed_out_of_range_is_refused(capsys):
    assert main(["model.json", "--speed", "31"]) == 1
    assert capsys.readouterr().err == "--speed is 31.0, expected 0 to 30 mph\n"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--speed", "auto", "--sideways-mps2", "20"], "--sideways-mps2 is 20, expec"),
        (
            ["--speed", "12", "--sideways-mps2", "0"],
            "--sideways-mps2 is 0, expected 0.5",
        ),
        (["--speed", "nan"], "--speed is nan, expected 0 to 30 mph"),
    ],
)
def test_a_plan_that_no_car_can_drive_by_is_refused(flags, said, capsys):
    assert main(["model.json", *flags]) == 1
    assert capsys.readouterr().err.startswith(said)


def test_a_speed_that_is_neither_a_number_nor_auto_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as left:
        main(["model.json", "--speed", "fast"])
    assert left.value.code == 2
    said = "argument --speed: 'fast' is neither a number of mph nor auto"
    assert said in capsys.readouterr().err


def test_a_model_of_steering_alone_is_refused_a_planned_speed(model_path, capfd):
    assert main([str(model_path), "--speed", "auto", "--port", "0"]) == 1
    *_, line = capfd.readouterr().err.splitlines()
    assert line.startswith(f"{model_path}: it has no output for bends")


def test_existing_recording_is_refused(tmp_path, capsys):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="exists already"):
        DriveRecorder(tmp_path / "run")
    arguments = ["no.json", "--port", "0", "--record", str(tmp_path / "run")]
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--record", "--corrections"])
def test_folder_that_cannot_be_made_is_refused_before_the_drive(tmp_path, flag):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "run"
    with pytest.raises(InputError, match=f"cannot be written.*give another {flag}"):
        check_input(parse_args(["no.json", "--port", "0", flag, str(folder)]))


@pytest.mark.parametrize("flag", ["--play", "--replay"])
def test_playing_no_recording_is_refused(tmp_path, capsys, flag):
    """The flag has an older name, too."""
    assert main(["model.json", "--port", "0", flag, str(tmp_path)]) == 1
    assert "no driving_log.csv" in capsys.readouterr().err


def test_help_loads_no_tensorflow_and_has_its_example():
    said, loaded = loaded_by("drive.main(['--help'])")
    assert "Example:" in said
    assert not loaded & {"tensorflow", "keras", "numpy", "socketio", "uvicorn"}


def test_nothing_slow_is_loaded_before_a_model_is_refused():
    _, loaded = loaded_by("drive.main(['none.json'])")
    assert not loaded & {"tensorflow", "keras", "pandas", "cv2", "socketio"}


def test_exported_models_are_served_without_tensorflow_and_pandas():
    code = "from driving.cockpit import app, playback; import network.exported"
    _, loaded = loaded_by(code)
    assert "socketio" in loaded and not loaded & {"tensorflow", "keras", "pandas"}


def loaded_by(code):
    """Return what a line of Python prints, and the packages that it has loaded."""
    lines = ["import sys, drive", "try:", f"    {code}", "except SystemExit: pass"]
    lines.append("print(*{name.partition('.')[0] for name in sys.modules})")
    command = [sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    said, _, loaded = done.stdout.rstrip().rpartition("\n")
    return said, set(loaded.split())


# --- The program ----------------------------------------------------------------------


@pytest.fixture
def program(model_path, tmp_path):
    """drive.py itself, recording, on a free port."""
    yield from served(model_path, tmp_path)


@pytest.fixture
def planning_program(tmp_path):
    """The same, with a model that sees bends, untrained, and a planned speed."""
    from model import build_model, with_bend
    from network.files import save_model

    both = save_model(with_bend(build_model()), tmp_path / "both")
    yield from served(both, tmp_path, "--speed", "auto")


def served(model_path, tmp_path, *flags):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", str(port)]
    command += ["--json", "--record", tmp_path / "run", *flags]
    log = (tmp_path / "log.txt").open("w")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    deadline = time.monotonic() + 60
    while "listening" not in (tmp_path / "log.txt").read_text():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    yield process, port
    if process.poll() is None:
        process.kill()
    process.communicate()
    log.close()


def legacy_client(shared_dir, port, *more):
    """Drive as the stock simulator does on the wire; return its report."""
    command = [sys.executable, shared_dir / "tools" / "legacy_client.py", *more]
    command += ["--images", shared_dir / "data" / "lake" / "IMG", "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def test_stock_simulator_is_driven_in_every_culture(program, shared_dir, tmp_path):
    process, port = program
    for culture in ("en", "de", "fr"):
        report = legacy_client(
            shared_dir, port, "--culture", culture, "--frames", "200", "--ping", "1"
        )
        assert report["unread_replies"] == 0 and report["steering"]["beyond_1"] == 0
    manual = legacy_client(shared_dir, port, "--frames", "200", "--manual-every", "50")
    assert manual["manuals"] == 19
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    said = json.loads(out)
    # Frames 1 to 4, 50 to 54, 100 to 104, 150 to 154 and from 200 on.
    assert said["frames"] in range(781, 788)
    assert said["interventions"] == 5 and said["unusable"] == said["faults"] == 0
    recording = read_recording(tmp_path / "run")
    assert recording.cameras == ("center",)
    # Each of the four drives showed the same pictures.
    assert set(recording.excluded) <= {"standing", "repeated-frame"}


def test_the_stock_simulator_is_always_answered_while_the_speed_is_planned(
    planning_program, shared_dir
):
    process, port = planning_program
    report = legacy_client(shared_dir, port, "--culture", "de", "--frames", "200")
    assert report["unread_replies"] == 0
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    said = json.loads(out)
    assert said["frames"] in range(199, 203)
    assert said["unusable"] == said["faults"] == said["late"] == 0


def test_interrupt_while_loading_ends_in_one_line(model_path, tmp_path):
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr and process.stderr.readline().startswith("loading")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 130
    assert process.stderr.read().splitlines() == ["stopped before the model was loaded"]
    process.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
def test_terminal_that_closes_leaves_no_car_driving(model_path, tmp_path):
    """Shell and system may both tell that it closes: that is one request."""
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    with log_path.open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    port = until_said(log_path, process, "listening").split(":")[1].split(";")[0]
    until_said(log_path, process, "cockpit:")
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
    throttles, jpegs = [], make_jpegs(2)
    with connect(url) as client, contextlib.suppress(ConnectionClosed):
        for number in range(1000):
            if number in (20, 21):
                process.send_signal(signal.SIGHUP)
            speed = "20.0000" if len(throttles) < 40 else "0.5000"
            client.send(telemetry(jpegs[number % 2], speed=speed))
            throttles.append(float(next_event(client)[1]["throttle"]))
            time.sleep(0.02)
    assert process.wait(20) == 0
    assert throttles[25:40] == [-1.0] * 15 and throttles[-1] == 0.0
    assert "autonomy" in log_path.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of POSIX")
def test_drive_under_nohup_goes_on_when_its_terminal_closes(model_path, tmp_path):
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            ["nohup", *command], stdout=log, stderr=log, cwd=tmp_path
        )
    until_said(log_path, process, "waiting for the simulator")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def until_said(path, process, text):
    """Wait for a line in the log of a program; return it."""
    deadline = time.monotonic() + 60
    while True:
        lines = [line for line in path.read_text().splitlines() if text in line]
        if lines:
            return lines[0]
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)


def test_run_that_is_ended_from_the_page_prints_how_to_train(model_path, tmp_path):
    """Open to the network, so that the page needs the token that is printed."""
    there = [tmp_path / name for name in ("-a", "b $b")]
    for folder in there:
        folder.mkdir()
        (folder / "driving_log.csv").touch()
    recordings = [*map(str, there), "/gone/c"]
    (model_path.parent / "config.json").write_text(
        json.dumps({"settings": {"recordings": recordings}})
    )
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0"]
    command += ["--host", "0.0.0.0", "--allow", "192.0.2.0/24"]
    command += ["--corrections", tmp_path / "taught"]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=tmp_path
        )
    address = until_said(log_path, process, "cockpit:").split()[-1]
    said = log_path.read_text()
    assert "pages need the token" in said
    assert "simulators may come from this machine, 192.0.2.0/24" in said
    host, token = address.removeprefix("http://").split("/")
    assert len(token) > len("?token=") + 20
    port = host.rpartition(":")[2]
    url = f"ws://127.0.0.1:{port}"
    origin = f"http://127.0.0.1:{port}"
    with pytest.raises(InvalidHandshake):
        connect(f"{url}/cockpit", origin=origin).__enter__()
    (jpeg,) = make_jpegs(1)
    with (
        connect(f"{url}/cockpit{token}", origin=origin) as page,
        connect(f"{url}/socket.io/?EIO=4&transport=websocket") as client,
    ):
        for i in range(1000):
            page.send('{"type": "steer", "steering": -0.125}')
            client.send(telemetry(jpeg + bytes([i % 256])))
            if float(next_event(client)[1]["steering_angle"]) == -0.125:
                break
            time.sleep(0.02)
        page.send('{"type": "end"}')
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    samples = read_recording(tmp_path / "taught", check_images=False).samples
    assert list(samples["steering"]) == [-0.125]
    said = out.splitlines()[-1]
    assert said == (
        f"next: python train.py ./-a 'b $b' {tmp_path / 'taught'} "
        f"--share taught=0.3 --from {model_path} --name {model_path.parent.name}"
        "-corrected"
    )
    args = train.parse_args(shlex.split(said)[3:])
    assert args.shares == [("taught", 0.3)] and len(args.recordings) == 3


def test_recording_is_played_without_a_simulator(model_path, tiny_recording, tmp_path):
    log_path = tmp_path / "log.txt"
    command = [sys.executable, ROOT / "drive.py", model_path, "--port", "0", "--json"]
    with log_path.open("w") as log:
        process = subprocess.Popen(
            [*command, "--play", tiny_recording],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    address = until_said(log_path, process, "cockpit:").split()[-1]
    origin = address.rstrip("/")
    with connect(f"ws{origin.removeprefix('http')}/cockpit", origin=origin) as page:
        page.send('{"type": "heat_map", "on": true}')
        kinds = set()
        while kinds != {1, 2}:
            if isinstance(message := page.recv(timeout=20), bytes):
                kinds.add(message[0])
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and json.loads(out)["frames"] > 0
