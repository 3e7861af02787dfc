"""What people give: files that are none, and text that would act on a terminal."""

import os
import socket
import threading

import pytest

from common.errors import InputError
from common.files import read_regular
from common.text import shown


def make_pipe(path):
    os.mkfifo(path)


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def link_to(target):
    return lambda path: path.symlink_to(target)


MAKERS = {
    "pipe": make_pipe,
    "socket": make_socket,
    "endless device": link_to("/dev/zero"),
    "empty device": link_to("/dev/null"),
    "terminal": link_to("/dev/tty"),
    "link to itself": lambda path: path.symlink_to(path),
    "link to nowhere": lambda path: path.symlink_to(path.with_name("none")),
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_no_regular_file_is_refused_and_never_waited_for(kind, tmp_path):
    path = tmp_path / "a"
    MAKERS[kind](path)
    with pytest.raises(InputError) as caught:
        read_regular(path, 100)
    assert str(caught.value).startswith(f"{path}: ")


def test_pipe_behind_a_link_is_refused_though_somebody_writes_to_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[b"x" * 9])
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer.start()
    with pytest.raises(InputError, match="no regular file"):
        read_regular(tmp_path / "link", 100)
    writer.join()
    os.close(reader)


def test_regular_file_is_read_up_to_the_bound_through_a_link_too(tmp_path):
    path, link = tmp_path / "a", tmp_path / "b"
    link.symlink_to(path)
    path.write_bytes(b"x" * 100)
    assert read_regular(link, 100) == b"x" * 100
    with pytest.raises(InputError, match="100 bytes, expected at most 99"):
        read_regular(path, 99)


def test_file_with_holes_is_refused_by_its_size_without_memory_for_it(tmp_path):
    path = tmp_path / "a"
    path.touch()
    os.truncate(path, 2**42)
    with pytest.raises(InputError, match="4,398,046,511,104 bytes, expected"):
        read_regular(path, 2**41)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lake, Müller 湖 C:\\new", "lake, Müller 湖 C:\\new"),
        ("\x1b[31mred\x1b]0;title\x07", "\\x1b[31mred\\x1b]0;title\\x07"),
        ("a\nb\r\tc\x85\u2028d", "a\\nb\\r\\tc\\x85\\u2028d"),
        ("gpj\u202e.exe\u2066\u200f", "gpj\\u202e.exe\\u2066\\u200f"),
        ("a\x00\x9b31m\x7f", "a\\x00\\x9b31m\\x7f"),
        (os.fsdecode(b"tiny\xff"), "tiny\\xff"),
        ("\ud800", "\\ud800"),
    ],
)
def test_text_is_shown_as_what_it_is(text, expected):
    assert shown(text) == expected
    assert shown(expected) == expected


def test_message_of_an_input_error_is_one_line_whatever_it_quotes():
    assert str(InputError("a\nb\x1b[2J: missing")) == "a\\nb\\x1b[2J: missing"
