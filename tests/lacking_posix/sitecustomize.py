"""Take from Python what Windows lacks: each Python that finds this first does without.

With this folder in PYTHONPATH, a command and all processes that it starts lack it. What
is written in C cannot be taken away, and what packages ask of Linux while they load is
left; so this stands for Windows only as far as names go, and as far as Windows neither
opens folders nor renames, replaces or removes what is open in the same process.
"""

import asyncio.unix_events
import errno
import mmap
import multiprocessing
import os
import pathlib
import select
import shutil
import signal
import socket
import sys
import tempfile
import warnings

PACKAGES = """
common driving evaluation network recordings simulator training tuning
adopt augment dataset demo drive evaluate explore export improve model review search
simulate train
""".split()
MODULES = "fcntl resource termios pwd grp tty pty syslog readline curses".split()
NAMES = {
    os: """
        O_NONBLOCK O_NOFOLLOW O_DIRECTORY O_CLOEXEC O_SYNC O_NOCTTY O_TMPFILE chown
        chroot fchdir fchmod fchown fork forkpty fdatasync geteuid getgid getgroups
        getloadavg getpgid getpriority getsid getuid initgroups killpg lchown lockf
        mkfifo mknod nice openpty pathconf pipe2 posix_fadvise posix_fallocate
        posix_spawn pread preadv pwrite pwritev register_at_fork sched_getaffinity
        sched_setaffinity sendfile setgid setpgid setpriority setsid setuid sync sysconf
        tcgetpgrp tcsetpgrp ttyname wait wait3 wait4 waitid
    """,
    signal: """
        SIGKILL SIGHUP SIGALRM SIGUSR1 SIGUSR2 SIGQUIT SIGPIPE SIGCHLD SIGCONT SIGSTOP
        SIGTSTP SIGWINCH SIG_BLOCK SIG_UNBLOCK SIG_SETMASK alarm getitimer setitimer
        pause pthread_kill pthread_sigmask sigpending sigtimedwait sigwait sigwaitinfo
        siginterrupt
    """,
    socket: "SO_REUSEPORT TCP_QUICKACK",
    select: "poll epoll",
    mmap: "MADV_DONTNEED MADV_SEQUENTIAL MADV_WILLNEED",
}


class Hidden:
    """Finds none of the modules."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def refusing(function, refuses):
    """Return a function that is refused as Windows does it."""

    def refused(path, *args, **kwargs):
        if refuses(path, *args):
            text = os.strerror(errno.EACCES)
            raise PermissionError(errno.EACCES, text, os.fspath(path))
        return function(path, *args, **kwargs)

    return refused


def is_folder(path, *_):
    return not isinstance(path, int) and pathlib.Path(os.fsdecode(path)).is_dir()


def is_open(*paths):
    """Say whether this process has one of them, or what is in it, open or mapped."""
    taken = [os.path.realpath(os.fsdecode(path)) for path in paths]
    names = []
    for link in pathlib.Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except OSError:  # It was that of the folder itself.
            continue
    maps = pathlib.Path("/proc/self/maps").read_text("utf-8", "replace").splitlines()
    names += [line.split(maxsplit=5)[-1] for line in maps]
    return any(
        name == each or name.startswith(f"{each}/") for name in names for each in taken
    )


def refuse(*_, **__):
    raise NotImplementedError


for name in MODULES:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Hidden())
for owner, names in NAMES.items():
    for name in names.split():
        if hasattr(owner, name):
            delattr(owner, name)
asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = refuse
asyncio.unix_events._UnixSelectorEventLoop.remove_signal_handler = refuse
# What it has found when it was loaded.
shutil._USE_CP_SENDFILE = shutil._use_fd_functions = False
# Windows removes them when they are closed, POSIX while they are open.
tempfile.TemporaryFile = tempfile.NamedTemporaryFile
os.open = refusing(os.open, is_folder)
os.replace = refusing(os.replace, is_open)
os.rename = refusing(os.rename, is_open)
# But "pym-…": what processes share, which on Windows is no file at all.
os.unlink = refusing(
    os.unlink,
    lambda path, *_: not pathlib.Path(path).name.startswith("pym-") and is_open(path),
)
os.remove = refusing(os.remove, lambda path, *_: is_open(path))
multiprocessing.set_start_method("spawn")
# A text file of ours that does not say its encoding.
warnings.filterwarnings("ignore", category=EncodingWarning)
OURS = rf"({'|'.join(PACKAGES)})(\.|$)"
warnings.filterwarnings("error", category=EncodingWarning, module=OURS)
