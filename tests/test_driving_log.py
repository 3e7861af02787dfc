"""Text of logs: what people do to a driving_log.csv, and what must not be misread."""

import numpy as np
import pytest

from driving_log import InputError, read_log

NUMBERS = [(0.25, 1.0, 0.0, 9.5), (-0.5, 0.0, 0.125, 30.19), (0.0, 0.0, 0.0, 7.8e-05)]


def images(i):
    return [f"IMG/{camera}_{i}.jpg" for camera in ("center", "left", "right")]


def write(tmp_path, lines, encoding="utf-8"):
    path = tmp_path / "driving_log.csv"
    path.write_bytes("".join(f"{line}\n" for line in lines).encode(encoding))
    return path


def numbers_of(log):
    return [(r.steering, r.throttle, r.brake, r.speed_mph) for r in log.rows]


def stock_lines(comma=",", decimal="."):
    return [
        comma.join([*images(i), *(f"{n:g}".replace(".", decimal) for n in row)])
        for i, row in enumerate(NUMBERS)
    ]


@pytest.mark.parametrize(
    ("comma", "decimal"),
    [(",", "."), (", ", "."), (" , ", "."), (";", ","), ("\t", ","), (";", ".")],
)
def test_columns_are_told_apart_by_commas_semicolons_and_tabs(tmp_path, comma, decimal):
    log = read_log(write(tmp_path, stock_lines(comma, decimal)))
    assert numbers_of(log) == NUMBERS and not log.has_header and not log.warnings


@pytest.mark.parametrize("cell", ['"-0,5"', "\u22120.5", "-5E-01", "-.5"])
def test_numbers_as_other_programs_write_them(tmp_path, cell):
    log = read_log(write(tmp_path, [",".join([*images(0), cell, "1", "0", "9"])]))
    assert log.rows[0].steering == -0.5


@pytest.mark.parametrize("cell", ["1_0", "None", "inf", "nan", "", '"1,000.5"', "0x1"])
def test_what_is_no_number_is_left_out_and_shown(tmp_path, cell):
    lines = [*stock_lines(), ",".join([*images(3), cell, "1", "0", "9"])]
    log = read_log(write(tmp_path, lines))
    assert numbers_of(log) == NUMBERS and log.excluded == {"bad-number": 1}
    shown = cell.strip('"')
    assert f"row 4: steering is {shown!r}, expected a number" in log.warnings[0]


@pytest.mark.parametrize("comma", ["|", " "])
def test_unknown_separators_are_refused(tmp_path, comma):
    with pytest.raises(InputError, match="row 1: found no centre image"):
        read_log(write(tmp_path, stock_lines(comma)))


def test_line_of_words_above_the_rows_is_no_header(tmp_path):
    log = read_log(write(tmp_path, ["# images of the first lap", *stock_lines()]))
    assert numbers_of(log) == NUMBERS and not log.has_header


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_folder_names_in_any_encoding_do_not_matter(tmp_path, encoding):
    lines = [f"C:\\Müller\\{line}" for line in stock_lines()]
    log = read_log(write(tmp_path, lines, encoding))
    assert numbers_of(log) == NUMBERS
    assert log.rows[0].images == ("center_0.jpg", "left_0.jpg", "right_0.jpg")


@pytest.mark.parametrize(
    "header",
    [
        "center,left,right,steering,throttle,brake,speed",
        "Center Image, Left Image, Right Image, Steering Angle, Throttle, Break, Speed",
        "image_center,image_left,image_right,steer,accel,reverse,velocity",
        "centercam,leftcam,rightcam,steering_angle,throttle,reverse,speed",
        '"img_path","left_path","right_path","angle","gas","brake","speed (mph)"',
    ],
)
def test_headers_as_people_write_them(tmp_path, header):
    log = read_log(write(tmp_path, [header, *stock_lines()]))
    assert numbers_of(log) == NUMBERS and log.has_header
    assert log.rows[1].images == ("center_1.jpg", "left_1.jpg", "right_1.jpg")


def test_columns_that_only_the_header_explains_are_left_out(tmp_path):
    header = "center,left,right,steering,throttle,brake,speed,lap,x,y"
    lines = [f"{line},{i},{i},7" for i, line in enumerate(stock_lines())]
    assert numbers_of(read_log(write(tmp_path, [header, *lines]))) == NUMBERS


def test_more_columns_than_stock_in_every_row_are_left_out(tmp_path):
    lines = [f"{line},{i},{i + 1},7" for i, line in enumerate(stock_lines())]
    assert numbers_of(read_log(write(tmp_path, lines))) == NUMBERS


def test_decimal_commas_glued_to_decimal_points_are_refused(tmp_path):
    lines = [*stock_lines(), ",".join([*images(3), "0,5", "0", "0", "30"])]
    with pytest.raises(InputError, match=r"row 4: found 5 numbers \(0,5,0,0,30\)"):
        read_log(write(tmp_path, lines))


def test_row_cut_off_below_a_header_is_left_out_not_filled_with_zeros(tmp_path):
    path = write(tmp_path, ["center,left,right,steering,throttle,brake,speed"])
    text = path.read_text() + "\n".join(stock_lines()).rsplit(",", 2)[0]
    path.write_text(text)
    log = read_log(path)
    assert len(log.rows) == 2 and log.excluded == {"cut-off-row": 1}
    assert "row 4" in log.warnings[0]


def test_line_longer_than_any_row_is_left_out(tmp_path):
    log = read_log(write(tmp_path, [*stock_lines(), "x" * 200_000]))
    assert numbers_of(log) == NUMBERS and log.excluded == {"bad-row": 1}


def test_log_that_cannot_be_opened_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_log(tmp_path)


def damage(line, rng):
    """Break a line as disks, editors and scripts do; return it in pieces or whole."""
    at = int(rng.integers(1, len(line)))
    junk = "".join(rng.choice(list(',;"\t .-eE\\/x0'), 4))
    return [
        line[:at],
        line[at:],
        line[:at] + junk + line[at:],
        line.replace(",", "", 1),
        f'"{line}',
        line.replace("0", "nan", 1),
        "",
        f"{line},{line}",
    ][rng.integers(8)]


def test_damaged_rows_never_change_the_rows_around_them(tmp_path, rng):
    good = [
        ",".join([*images(i), f"{steering:.6f}", "0.5", "0.0", "20.0"])
        for i, steering in enumerate(rng.uniform(-1, 1, 40))
    ]
    for _ in range(150):
        lines = list(good)
        broken = set(rng.integers(0, len(lines), 3).tolist())
        for i in broken:
            lines[i] = damage(lines[i], rng)
        try:
            log = read_log(write(tmp_path, lines))
        except InputError as error:
            assert "row " in str(error) and "\n" not in str(error)
            continue
        read = {row.line - 1: row for row in log.rows}
        for i in set(range(len(good))) - broken:
            assert read[i].images[0] == f"center_{i}.jpg"
            assert f"{read[i].steering:.6f}" == good[i].split(",")[3]
        assert all(np.isfinite(numbers_of(log)).ravel())
