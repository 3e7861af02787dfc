"""The review's server: who is refused, what is refused, and a kill in the middle."""

import json
import random
import shutil
import threading
import time
from dataclasses import fields
from http.client import HTTPException

import cv2
import numpy as np
import pytest
from made_recordings import write_recording
from running_review import mark, reviewing
from small_disk import fill

from evaluation.review.app import _usual_view
from evaluation.review.reviewed import SPLIT_SEED, VALIDATION_FRACTION
from recordings.images import read_frame
from recordings.marks import MARKS_SUFFIX, read_marks
from training.settings import Settings


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("d") / "drive"
    return write_recording(folder, 0.5 * np.sin(np.arange(60) / 12))


@pytest.fixture(scope="module")
def served(made):
    """A recording that is reviewed; its marks are changed."""
    with reviewing(made) as review:
        review.until(lambda s: s["recordings"][0]["is_read"])
        yield review, made


def version_of(review):
    return json.loads(review.get("/marks?recording=0")[1])["version"]


def packed(content):
    length = int.from_bytes(content[:4], "little")
    head = json.loads(content[4 : 4 + length])
    return head, {
        name: np.frombuffer(content, kind, count, 4 + length + place)
        for name, kind, place, count in head["arrays"]
    }


# --- What is served -------------------------------------------------------------------


def test_files_come_with_a_policy_that_allows_nothing_from_elsewhere(served):
    review, _ = served
    paths = ("/", "/review.js", "/review.css", "/look.css", "/wheel.js", "/icon.svg")
    for path in (*paths, "/state", "/frame?recording=0&row=0", "/rows?recording=0"):
        answer, content = review.get(path)
        assert answer.status == 200 and content
        policy = answer.getheader("content-security-policy")
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert answer.getheader("cross-origin-resource-policy") == "same-origin"
        assert b"https://" not in content.replace(b"https:'", b"")
    assert review.request("DELETE", "/state")[0].status == 405
    assert review.get("/../app.py")[0].status == 404


def test_rows_and_pictures_are_those_of_the_disk(served):
    review, folder = served
    head, rows = packed(review.get("/rows?recording=0")[1])
    assert head["rows"] == 60 and list(rows["line"]) == list(range(1, 61))
    steering = 0.5 * np.sin(np.arange(60) / 12)
    np.testing.assert_allclose(rows["steering"], steering, atol=1e-6)
    np.testing.assert_allclose(np.diff(rows["time_s"]), 0.1, atol=1e-6)
    for camera in ("center", "left", "right"):
        image = sorted((folder / "IMG").glob(f"{camera}_*"))[7]
        answer, content = review.get(f"/frame?recording=0&row=7&camera={camera}")
        assert answer.getheader("content-type") == "image/jpeg"
        assert content == image.read_bytes()
    png = np.frombuffer(review.get("/view?recording=0&row=7")[1], np.uint8)
    assert cv2.imdecode(png, cv2.IMREAD_COLOR).shape == (66, 200, 3)


def test_the_view_without_a_model_is_that_of_the_layers(made):
    from model import build_model, view_of

    frame = read_frame(sorted((made / "IMG").glob("center_*"))[9])
    seen = view_of(build_model()).predict_on_batch(frame[None])[0]
    off = np.abs(_usual_view(frame).astype(int) - seen)
    assert off.max() <= 1


def test_what_is_held_out_is_what_training_holds_out():
    defaults = {field.name: field.default for field in fields(Settings)}
    assert defaults["validation_fraction"] == VALIDATION_FRACTION
    assert defaults["seed"] == SPLIT_SEED


@pytest.mark.parametrize(
    "path",
    [
        "/frame?recording=0&row=60",
        "/frame?recording=0&row=-1",
        "/frame?recording=0&row=0&camera=../../x",
        "/frame?recording=1&row=0",
        "/frame?recording=0",
        "/frame?recording=9999999999999&row=0",
        "/heat?recording=0&row=0&model=0",
        "/steering?recording=0&model=0",
        "/rows?recording=x",
        "/nothing",
    ],
)
def test_what_is_not_there_is_not_found(served, path):
    assert served[0].get(path)[0].status == 404


# --- Who is refused -------------------------------------------------------------------


def test_pages_of_other_sites_and_names_are_refused(served):
    review, _ = served
    for headers in (
        {"Host": "evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        for path in ("/state", "/frame?recording=0&row=0"):
            answer, content = review.get(path, **headers)
            assert answer.status == 403 and b"refused" in content
    version = version_of(review)
    for origin in ("http://evil.example", "null", "", f"https://{review.host}"):
        status, said = review.put_marks(version, [mark(1, 2)], Origin=origin)
        assert status == 403 and b"another origin" in said
    assert version_of(review) == version


def test_beyond_this_machine_the_token_is_asked_for(made):
    # An address of this machine that is none of its usual names.
    with reviewing(made, "--host", "127.0.0.2") as review:
        address = f"http://127.0.0.2:{review.port}/?token="
        assert review.url.startswith(address)
        token = review.url.removeprefix(address)
        from http.client import HTTPConnection

        for query, status in (("", 403), ("token=x", 403), (f"token={token}", 200)):
            for path in ("/", "/state", "/marks"):
                client = HTTPConnection("127.0.0.2", review.port, timeout=30)
                client.request("GET", f"{path}?recording=0&{query}")
                assert client.getresponse().status == status
                client.close()


# --- Marks ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("marks", "said"),
    [
        ([mark(5, 99)], "expected rows of the log, up to 60"),
        ([mark(9, 5)], "rows 9 to 5, expected a first row"),
        ([mark(1, 2, "bad")], "mark is 'bad', expected leave-out, only or hard"),
        ([mark(1, 2, note="a\nb")], "note of 3 characters, expected one line"),
        ([mark(1, 2, note="x" * 999)], "note of 999 characters"),
        ([mark(True, 2)], "no marks"),
        ([mark("1", 2)], "no marks"),
        ([mark(1, 2, None)], "no marks"),
        ([{}], "no marks"),
        ("x", "no marks"),
        (None, "no marks"),
        ([mark(1, 1)] * 10_001, "more than 10,000 marks"),
    ],
)
def test_marks_that_make_no_sense_are_refused_and_change_nothing(served, marks, said):
    review, folder = served
    version = version_of(review)
    status, content = review.put_marks(version, marks)
    if status == 413:
        assert b"over 1,000,000 bytes" in content
    else:
        assert status == 400 and said in json.loads(content)["fault"]
    assert version_of(review) == version
    assert not list(folder.glob(".partial*"))


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"3", b"{}", b"[" * 5000])
def test_bodies_that_say_nothing_are_refused(served, body):
    review, _ = served
    for method, path in (("PUT", "/marks"), ("POST", "/discard")):
        answer, _ = review.request(method, f"{path}?recording=0", body=body)
        assert answer.status == 400


def test_two_pages_do_not_undo_one_another(served):
    review, folder = served
    version = version_of(review)
    assert review.put_marks(version, [mark(3, 4, note="one")])[0] == 200
    status, content = review.put_marks(version, [mark(7, 8, note="other")])
    document = json.loads(content)
    assert status == 409 and document["marks"] == [mark(3, 4, note="one")]
    assert review.put_marks(document["version"], [])[0] == 200
    assert read_marks(folder / "driving_log.csv").entries == ()


@pytest.mark.parametrize("lines", [40, 61], ids=["shrunk", "grown"])
def test_a_log_that_has_changed_is_said_and_not_marked(made, tmp_path, lines):
    folder = shutil.copytree(made, tmp_path / "drive")
    (folder / f"driving_log{MARKS_SUFFIX}").unlink(missing_ok=True)
    log = folder / "driving_log.csv"
    with reviewing(folder) as review:
        review.until_idle()
        rows = log.read_text().splitlines()
        log.write_text("\n".join([*rows, rows[-1]][:lines]) + "\n")
        said = f"{log}: changed since it was read; start review.py again"
        assert review.state()["recordings"][0]["fault"] == said
        status, content = review.put_marks(version_of(review), [mark(50, 60)])
        assert (status, json.loads(content)["fault"]) == (400, said)
        answer, _ = review.request("POST", "/discard?recording=0", discard(review))
        assert answer.status == 400
        # Pictures of what was read are shown on.
        assert review.get("/frame?recording=0&row=59")[0].status == 200
    assert not (folder / f"driving_log{MARKS_SUFFIX}").exists()


def discard(review):
    return json.dumps({"version": version_of(review), "seconds": None})


def test_two_servers_of_one_recording_keep_each_others_marks(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "drive")
    (folder / f"driving_log{MARKS_SUFFIX}").unlink(missing_ok=True)
    with reviewing(folder) as one, reviewing(folder) as other:
        for review in (one, other):
            review.until(lambda s: s["recordings"][0]["is_read"])
        version = version_of(other)
        assert one.put_marks(version, [mark(1, 2)])[0] == 200
        status, content = other.put_marks(version, [mark(5, 6)])
        document = json.loads(content)
        assert status == 409 and document["marks"] == [mark(1, 2)]
        both = [mark(1, 2), mark(5, 6)]
        assert other.put_marks(document["version"], both)[0] == 200
        assert json.loads(one.get("/marks?recording=0")[1])["marks"] == both


def test_a_full_disk_keeps_the_marks_of_before(made, disk):
    folder = shutil.copytree(made, disk / "drive")
    log = folder / "driving_log.csv"
    with reviewing(folder) as review:
        review.until_idle()
        kept = [mark(1, 2, note="kept")]
        assert review.put_marks(version_of(review), kept)[0] == 200
        filler = fill(disk)
        more = [*kept, *(mark(i, i, note="x" * 150) for i in range(1, 61))]
        status, content = review.put_marks(version_of(review), more)
        assert status == 507
        said = "driving_log.marks.csv: No space left on device; mend that, then mark"
        assert said in json.loads(content)["fault"]
        assert [each.note for each in read_marks(log).entries] == ["kept"]
        filler.unlink()
        assert review.put_marks(version_of(review), more)[0] == 200
    assert len(read_marks(log).entries) == 61


def test_a_kill_in_the_middle_of_marking_loses_nothing_that_was_saved(made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "drive")
    (folder / f"driving_log{MARKS_SUFFIX}").unlink(missing_ok=True)
    chance = random.Random(5)
    saved = 0
    for _ in range(4):
        with reviewing(folder) as review:
            review.until(lambda s: s["recordings"][0]["is_read"])
            version = version_of(review)
            entries = json.loads(review.get("/marks?recording=0")[1])["marks"]
            # What was acknowledged before the last kill is there, and whole.
            assert len(entries) >= saved
            assert [each["note"] for each in entries] == [
                str(i) for i in range(len(entries))
            ]
            saved = len(entries)
            killer = threading.Timer(chance.uniform(0.05, 0.4), review.process.kill)
            killer.start()
            try:
                while True:
                    entries.append(mark(1 + saved % 60, 60, note=str(len(entries))))
                    status, content = review.put_marks(version, entries)
                    assert status == 200
                    version, saved = json.loads(content)["version"], len(entries)
            except (OSError, HTTPException):
                pass
            killer.join()
    assert saved > 4
    # Read whole, whatever was being written.
    assert len(read_marks(folder / "driving_log.csv").entries) >= saved


# --- Its end --------------------------------------------------------------------------


def test_ctrl_c_says_what_is_next(made):
    with reviewing(made) as review:
        time.sleep(0.2)
        out, err = review.stop()
    assert out == f"next: python train.py {made}\n"
    assert review.process.returncode == 0 and "Traceback" not in err


def test_a_port_that_is_taken_is_said_in_one_line(served, capsys):
    import review as command

    running, folder = served
    assert command.main([str(folder), "--port", str(running.port)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "does another review.py run? Stop it, or give another --port" in line
