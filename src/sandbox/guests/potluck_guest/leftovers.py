"""Processes that a job left behind."""

import builtins
import os
import sys
import time

from potluck_guest.channel import high_fd

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins

os_pread, waitid = os.pread, getattr(os, "waitid", None)

PROCESS_COUNT_AT_SPAWN = 4  # the host opens it there where there is a cgroup
ON_LINUX = sys.platform == "linux"


class Leftovers:
    """Whether a job left processes behind. Exact with a cgroup's count; else by children."""

    def __init__(self, others_counted):
        """others_counted: processes in the cgroup that are no task's; None where there is no cgroup."""
        self.fd = None
        self.others = others_counted
        if others_counted is not None:
            self.alone = b"%d\n" % (1 + others_counted)
            try:
                self.fd = high_fd(PROCESS_COUNT_AT_SPAWN)
            except OSError:
                self.fd = None
        self.has_children = None
        if self.fd is None and ON_LINUX:
            self.has_children = adopt_orphans()

    def any(self):
        if self.fd is not None:
            try:
                return os_pread(self.fd, 16, 0) != self.alone and self._others()
            except OSError:
                return True  # a task closed it
        if self.has_children is not None:
            return self.has_children()
        if waitid is None:
            return False
        try:
            waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True

    def _others(self):
        # The count has threads in it, and a thread that was joined may take a moment to be gone.
        for _ in range(20):
            if int(os_pread(self.fd, 16, 0)) <= self.others + len(os.listdir("/proc/self/task")):
                return False
            time.sleep(0.0002)
        return True


def adopt_orphans():
    """Children of children that end become ours, so that they are seen as left behind. Returns what asks for children."""
    import ctypes
    PR_SET_CHILD_SUBREAPER = 36
    library = ctypes.PyDLL(None)
    library.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Asked after every job: os.waitid says "no children" by an exception, which takes four times as long.
    ask, everybody, nobody = library.waitid, ctypes.c_int(os.P_ALL), ctypes.c_int(0)
    how = ctypes.c_int(os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return lambda: ask(everybody, nobody, None, how) == 0
