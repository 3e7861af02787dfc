"""Keep freed memory for the next use, instead of giving it back to the system.

A step of training allocates and frees buffers of many megabytes. glibc gives each back
to the kernel and takes it anew, and the kernel clears every page of it when it is first
touched: up to a third of the processor's time. Kept, the same pages serve again; and
where the system hands out huge pages to who asks, there are fewer of them.
"""

from __future__ import annotations

import ctypes
import sys

# Of glibc's malloc.h, and of Linux's mman.h.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -2, -3, -8
MADV_HUGEPAGE = 14
HUGE_PAGE = 1 << 21
# As much as mallopt takes: what is larger is mapped, and given back, by itself.
LARGEST_KEPT, KEPT = 1 << 30, (1 << 31) - 1
GROWS_BY = 64 << 20
# Of addresses, not of memory: so much of what comes first lies in huge pages.
IN_HUGE_PAGES = LARGEST_KEPT - HUGE_PAGE


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; return whether its C library can.

    It is for a process that allocates the same sizes again and again; call it before
    threads start. The most that the process ever held is then held until its end.
    """
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not (hasattr(libc, "mallopt") and hasattr(libc, "gnu_get_libc_version")):
        return False
    wanted = (
        (M_MMAP_THRESHOLD, LARGEST_KEPT),
        (M_TRIM_THRESHOLD, KEPT),
        (M_TOP_PAD, GROWS_BY),
        # Each arena keeps its own; with one, what one thread frees serves another.
        (M_ARENA_MAX, 1),
    )
    for option, value in wanted:
        if not libc.mallopt(option, value):
            return False
    _ask_for_huge_pages(libc)
    return True


def _ask_for_huge_pages(libc: ctypes.CDLL) -> None:
    """Take a block from the heap, say what its pages are to be, and give it back.

    No page of it is touched. Where it cannot be had, or the system has no huge pages,
    nothing is lost.
    """
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    block = libc.malloc(IN_HUGE_PAGES)
    if not block:
        return
    begin = -(-block // HUGE_PAGE) * HUGE_PAGE
    end = (block + IN_HUGE_PAGES) // HUGE_PAGE * HUGE_PAGE
    libc.madvise(begin, end - begin, MADV_HUGEPAGE)
    libc.free(block)
