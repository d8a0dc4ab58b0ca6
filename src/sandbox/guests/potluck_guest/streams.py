"""What a job writes to descriptors 1 and 2, and the mark that ends it there.

Invariant: a job's answer leaves after all that the job wrote was either read by the host
or is followed by a mark that the answer announces.
"""

import builtins
import errno
import fcntl
import io
import os
import resource
import select
import sys

from potluck_guest.channel import high_fd

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins

os_write, os_pread, ioctl = os.write, os.pread, fcntl.ioctl
getrusage, RUSAGE_CHILDREN = resource.getrusage, resource.RUSAGE_CHILDREN

ON_LINUX = sys.platform == "linux"
TIOCOUTQ = 0x5411  # Linux: bytes written to a socket or terminal that nobody read yet
NO_BYTES = b"\0\0\0\0"


class Raw(io.FileIO):
    """Descriptor 1 or 2, counting what Python's own stream writes to it in a job."""

    written = 0

    def write(self, data):
        size = io.FileIO.write(self, data)
        self.written += size or 0
        return size


class Stream:
    """One of stdout and stderr."""

    def __init__(self, fd, name):
        self.fd = fd
        self.name = name
        self.intact = True
        # Written into by the system: bytes that cannot change would be copied there and back.
        self.unread = bytearray(4)
        self.raw = Raw(fd, "w", closefd=False)
        self.text = io.TextIOWrapper(
            io.BufferedWriter(self.raw), encoding="utf-8", errors="backslashreplace", line_buffering=True)
        self.text.mode = "w"
        setattr(sys, name, self.text)
        setattr(sys, "__%s__" % name, self.text)

    def flush(self):
        """Whatever a task put in place of the stream is flushed too, and replaced."""
        text = self.text
        current = getattr(sys, self.name, None)
        if current is not text:
            setattr(sys, self.name, text)
            flush_quietly(current)
        try:
            text.flush()
        except Exception:
            self.intact = False

    def mark(self, mark, program, others_wrote):
        """Writes the mark if the job wrote anything; says whether it did.

        What a task writes past Python's streams is seen while the host has not read it, and in
        a program's first jobs (WriteCount); once seen, all jobs of that program get a mark.
        """
        raw = self.raw
        wrote = others_wrote or raw.written or program.writes_past_us
        if ON_LINUX:
            try:
                ioctl(self.fd, TIOCOUTQ, self.unread)
                unread = self.unread != NO_BYTES
            except OSError:  # closed, or another file by now
                self.intact = False
                return False
            if unread and not wrote:
                wrote = program.writes_past_us = True
        elif not wrote:
            wrote = True  # no way to know
        if not wrote:
            return False
        raw.written = 0
        self.intact = self.intact and write_whole(self.fd, mark)
        return self.intact


class WriteCount:
    """The kernel's count of bytes written by this process and the children it waited for.

    Asking costs as much as a third of a small job, so only a program's first jobs are
    counted: most programs that write past Python's streams do so from the start.
    """

    JOBS_COUNTED = 16

    def __init__(self):
        self.before = 0
        try:
            self.fd = high_fd(os.open("/proc/self/io", os.O_RDONLY | os.O_CLOEXEC))
        except OSError:  # a system without it
            self.fd = None

    def read(self):
        try:
            return int(os_pread(self.fd, 256, 0).split(None, 4)[3])
        except (OSError, ValueError, IndexError):  # closed by a task, or a kernel that does not count
            self.fd = None
            return self.before

    def begin(self, program):
        if program.jobs < self.JOBS_COUNTED and self.fd is not None:
            self.before = self.read()

    def end(self, program, known):
        """Notes a program that wrote more than the `known` bytes of its streams, if only to a file."""
        program.jobs += 1
        if program.jobs <= self.JOBS_COUNTED and self.fd is not None:
            if self.read() - self.before != known + program.filed:
                program.writes_past_us = True
            program.filed = 0


class Children:
    """Whether children were waited for since the last time: then they may have written."""

    def __init__(self):
        self.faults = 0

    def came_home(self):
        # A process cannot start without page faults, and those of waited children are ours to see.
        faults = getrusage(RUSAGE_CHILDREN).ru_minflt
        more = faults != self.faults
        self.faults = faults
        return more


def flush_quietly(stream):
    try:
        stream.flush()
    except Exception:
        pass  # a task's own object in place of a stream; its errors are nobody's


def write_whole(fd, data):
    """True when all of it was written: a task may have closed or replaced the descriptor."""
    while data:
        try:
            data = data[os_write(fd, data):]
        except OSError as error:
            if error.errno != errno.EAGAIN:
                return False
            select.select([], [fd], [], 0.05)
    return True
