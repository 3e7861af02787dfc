"""What a library may do on a file, for a process apart to find it."""

import os
import signal
import threading

from network.limits import confine


def crash(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(path):
    threading.Event().wait()


def eat(path):
    confine()
    bytes(2 * 10**9)


def fail(path):
    raise ZeroDivisionError("ours")
