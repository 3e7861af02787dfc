"""Text of logs: what people do to a driving_log.csv, and what must not be misread."""

import numpy as np
import pytest
from made_recordings import stamp

from common.car import CAMERAS
from common.errors import InputError
from recordings.log import find_log, read_log

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


def test_row_longer_than_its_header_is_left_out_not_shifted(tmp_path):
    rows = ["a.jpg,0.25,0.5", "b.jpg,0,25,0.5", "c.jpg,0.25,0.5,"]
    log = read_log(write(tmp_path, ["center,steering,throttle", *rows]))
    assert [row.steering for row in log.rows] == [0.25, 0.25]
    assert "row 3: found 4 columns, expected 3" in log.warnings[0]


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


def row_of(names, numbers="0.5,1,0,9"):
    return f"{','.join(f'IMG/{name}.jpg' if name else '' for name in names)},{numbers}"


@pytest.mark.parametrize(
    "line",
    [
        row_of(["", "left_3", "right_3"]),
        row_of(["left_3", "right_3"]),
        row_of(["right_3"]),
        row_of(["center_3", "left_3", "right_3"]).replace("_3.jpg", "_3.jp", 1),
        row_of(["3", "4", "5"]).replace("3.jpg", "3.jp"),
    ],
)
def test_side_image_is_never_taken_for_the_centre(tmp_path, line):
    log = read_log(write(tmp_path, [*stock_lines(), line]))
    assert numbers_of(log) == NUMBERS and log.excluded == {"bad-row": 1}
    assert "row 4: found no centre image in" in log.warnings[0]


def test_cameras_in_another_order_are_told_by_their_names(tmp_path):
    log = read_log(write(tmp_path, [row_of(["left_0", "center_0", "right_0"])]))
    assert log.rows[0].images == ("center_0.jpg", "left_0.jpg", "right_0.jpg")


@pytest.mark.parametrize("before", ["7,", "7,7,", "7.0,", "2024-03-01,", ","])
def test_columns_before_the_images_are_left_out(tmp_path, before):
    log = read_log(write(tmp_path, [before + line for line in stock_lines()]))
    assert numbers_of(log) == NUMBERS
    assert log.rows[0].images == ("center_0.jpg", "left_0.jpg", "right_0.jpg")


def test_index_that_the_header_does_not_name_is_left_out(tmp_path):
    header = "center,left,right,steering,throttle,brake,speed"
    lines = [f"{i},{line}" for i, line in enumerate(stock_lines())]
    assert numbers_of(read_log(write(tmp_path, [header, *lines]))) == NUMBERS


def test_row_shorter_than_a_header_of_another_order_is_not_guessed(tmp_path):
    header = "center,throttle,steering,lap"
    log = read_log(write(tmp_path, [header, "a.jpg,1,0.5,2", "b.jpg,1", "c.jpg,1,0.5"]))
    assert [row.steering for row in log.rows] == [0.5, 0.5]
    assert "row 3: found 2 columns" in log.warnings[0]


def test_quotes_around_whole_lines_are_taken_off(tmp_path):
    lines = [f'"{line}"' for line in stock_lines()]
    assert numbers_of(read_log(write(tmp_path, lines))) == NUMBERS


def test_quote_that_is_never_closed_costs_no_other_row(tmp_path):
    first, *others = stock_lines()
    assert numbers_of(read_log(write(tmp_path, [f'"{first}', *others]))) == NUMBERS


def test_line_that_counts_the_columns_is_a_header(tmp_path):
    log = read_log(write(tmp_path, ["0,1,2,3,4,5,6", *stock_lines()]))
    assert numbers_of(log) == NUMBERS and log.has_header and not log.warnings


@pytest.mark.parametrize(
    "lines",
    [["left,right," + "x" * 500], ["IMG/a.jpg," + "\x1b\x0b" * 200 + ",1,0,9"]],
)
def test_refusals_stay_one_short_line_whatever_they_quote(tmp_path, lines):
    path = write(tmp_path, lines)
    with pytest.raises(InputError) as caught:
        read_log(path)
    message = str(caught.value).removeprefix(str(path))
    assert message.isprintable() and len(message) < 500


def test_utf_32_is_refused_as_no_text(tmp_path):
    with pytest.raises(InputError, match="binary"):
        read_log(write(tmp_path, stock_lines(), "utf-32"))


def test_zero_bytes_of_a_crash_cost_the_rows_that_they_lie_in(tmp_path):
    lines = [row_of([f"center_{i}"]) for i in range(60)]
    path = write(tmp_path, [*lines, "\0" * 300 + lines[0], *lines[:2]])
    path.write_bytes(path.read_bytes() + bytes(4096))
    log = read_log(path)
    assert len(log.rows) == 62 and log.excluded == {"bad-row": 1}
    assert log.warnings == [
        "1 rows left out; row 61: found zero bytes, as after a crash"
    ]


def test_text_without_a_mark_in_utf_16_is_refused(tmp_path):
    with pytest.raises(InputError, match="save it as csv in UTF-8"):
        read_log(write(tmp_path, stock_lines(), "utf-16-le"))


def test_line_longer_than_any_row_is_left_out(tmp_path):
    log = read_log(write(tmp_path, [*stock_lines(), "x" * 200_000]))
    assert numbers_of(log) == NUMBERS and log.excluded == {"bad-row": 1}


def test_log_that_cannot_be_opened_is_refused_in_one_line(tmp_path):
    with pytest.raises(InputError, match="a folder, expected a regular file"):
        read_log(tmp_path)


FOLDERS = (
    "",
    "IMG/",
    "/home/a b/IMG/",
    "C:\\Users\\a b\\IMG\\",
    "../x/",
    "D:/y, z/IMG/",
)


def rewritten(rows, rng):
    """Write rows as some program on some system might; return the file's bytes.

    Args:
        rows: Image names and numbers of each row.
        rng: Draws the habits.
    """
    comma, decimal = ((",", "."), (";", "."), (";", ","), ("\t", ","))[rng.integers(4)]
    space, tail = ("", " ")[rng.integers(2)], ("", comma)[rng.integers(2)]
    form = ("{:.7g}", "{:.6f}", "{:.6E}", "{!r}")[rng.integers(4)]
    folder = FOLDERS[rng.integers(len(FOLDERS))]
    quote = '"' if comma in folder or rng.integers(3) == 0 else ""
    has_header, has_index = rng.integers(2), rng.integers(2)
    lines = []
    for i, (names, numbers) in enumerate(rows):
        texts = [form.format(number).replace(".", decimal) for number in numbers]
        cells = [*(f"{folder}{name}" for name in names), *texts]
        cells = [f"{quote}{cell}{quote}" for cell in cells]
        lines.append(f"{comma}{space}".join([str(i)] * has_index + cells) + tail)
        if rng.integers(8) == 0:
            lines.append(" " * rng.integers(3))
    if has_header:
        titles = ["center", "left", "right", "steering", "throttle", "brake", "speed"]
        lines.insert(0, comma.join([""] * has_index + titles))
    end = ("\n", "\r\n", "\r")[rng.integers(3)]
    encoding = ("utf-8", "utf-8-sig", "utf-16")[rng.integers(3)]
    return (end.join(lines) + end).encode(encoding), bool(has_header)


def test_a_log_reads_the_same_however_it_is_written(tmp_path, rng):
    path = tmp_path / "driving_log.csv"
    for _ in range(300):
        rows = [
            (tuple(f"{camera}_{i}.jpg" for camera in CAMERAS), tuple(numbers.tolist()))
            for i, numbers in enumerate(rng.integers(-100, 101, (6, 4)) / 128)
        ]
        content, has_header = rewritten(rows, rng)
        path.write_bytes(content)
        log = read_log(path)
        assert log.has_header == has_header and not log.warnings, content
        assert [row.images for row in log.rows] == [names for names, _ in rows]
        expected = [numbers for _, numbers in rows]
        np.testing.assert_allclose(numbers_of(log), expected, atol=5e-7)


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


PATHS = "IMG/center_{0}.jpg,IMG/left_{0}.jpg,IMG/right_{0}.jpg"


def log_of(tmp_path, *lines, end="\n"):
    path = tmp_path / "driving_log.csv"
    path.write_bytes((end.join(lines) + end).encode())
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "BOM"])
def test_line_ends_and_byte_order_mark_change_nothing(tmp_path, end, mark):
    rows = [f"{PATHS.format(stamp(i / 10))},0.{i},1,0,9" for i in range(3)]
    log = read_log(log_of(tmp_path, mark + rows[0], *rows[1:], end=end))
    assert [row.steering for row in log.rows] == [0.0, 0.1, 0.2]
    assert log.rows[0].images[0] == f"center_{stamp(0)}.jpg" and not log.warnings


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [f"{PATHS.format('a')},-0,0858,0,1286,0,9,5"],
            r"row 1: found 7 numbers \(-0,0858,0,1286,0,9,5\), expected 4; .*LC_ALL=C",
        ),
        (
            [f"{PATHS.format('a')},0,0,0,5", f"{PATHS.format('b')},0,5,0,0,5"],
            "row 2: found 5 numbers",
        ),
        (["a,b,c"], "row 1: found no centre image"),
        (["left,right,speed"], "row 1: the header has no column for center"),
        ([f"{PATHS.format('a')},nan,1,0,9"], "row 1: steering is 'nan', expected a"),
    ],
)
def test_refusal_names_file_row_and_what_to_do(tmp_path, rows, message):
    path = log_of(tmp_path, *rows)
    with pytest.raises(InputError, match=message) as caught:
        read_log(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_one_more_column_beside_decimal_points_is_left_out(tmp_path):
    rows = [f"{PATHS.format('a')},0.5,1,0,9.5,7", f"{PATHS.format('b')},0.25,1,0,9.5"]
    log = read_log(log_of(tmp_path, *rows))
    assert [(row.steering, row.speed_mph) for row in log.rows] == [
        (0.5, 9.5),
        (0.25, 9.5),
    ]


def test_columns_follow_the_header_whatever_their_order(tmp_path):
    rows = ["speed,steering_angle,center_image", "12.5,-0.5,IMG/center_a.jpg"]
    row = read_log(log_of(tmp_path, *rows)).rows[0]
    assert (row.speed_mph, row.steering, row.images) == (
        12.5,
        -0.5,
        ("center_a.jpg", "", ""),
    )


def test_folder_without_a_log_says_where_logs_are(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "driving_log.csv").write_text("x")
    with pytest.raises(InputError, match=r"it holds recordings, give those: .*/a$"):
        find_log(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find_log(tmp_path / "none")
