"""The way to the host and back: whole frames, and the tokens of jobs fed ahead.

Frames are a 4-byte big-endian length, one byte of kind, and the rest (see frames.ts).
"""

import builtins
import fcntl
import os

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins

os_read, os_write, os_exit = os.read, os.write, os._exit

FD_MIN = 700  # above what programs use, below the usual limit of 1 024
EXIT_CONTROL_LOST = 113  # the host reads this as: the task closed the worker's channel
READ_BYTES = 64 * 1024


class Control:
    """Whole frames in, whole frames out. The host's end closing ends this process."""

    def __init__(self, fd):
        self.fd = fd
        self.buffer = b""
        self.at = 0

    def _more(self):
        while True:
            try:
                chunk = os_read(self.fd, READ_BYTES)
            except OSError:
                os_exit(EXIT_CONTROL_LOST)
            except BaseException:  # a signal handler that a task left behind
                continue
            if not chunk:
                os_exit(0)  # the host is gone
            return chunk

    def next_frame(self):
        buffer, at = self.buffer, self.at
        while len(buffer) - at < 4:
            buffer, at = buffer[at:] + self._more(), 0
        end = at + 4 + int.from_bytes(buffer[at:at + 4], "big")
        if end <= len(buffer):
            self.buffer, self.at = buffer, end
            return buffer[at + 4:end]
        parts = [buffer[at + 4:]]
        missing = end - len(buffer)
        while missing > 0:
            chunk = self._more()
            parts.append(chunk)
            missing -= len(chunk)
        frame = b"".join(parts)
        self.buffer, self.at = (frame, len(frame) + missing) if missing < 0 else (b"", 0)
        return frame[:len(frame) + missing]

    def send(self, data):
        try:
            sent = os_write(self.fd, data)
            if sent != len(data):
                rest = memoryview(data)[sent:]
                while len(rest):
                    rest = rest[os_write(self.fd, rest):]
        except OSError:
            os_exit(EXIT_CONTROL_LOST)


class Tokens:
    """The right to start a job fed ahead: one number in a FIFO, taken by us or by the host."""

    def __init__(self, fd):
        self.fd = fd
        self.held = 0

    def take(self, job):
        held = self.held
        while held < job:
            try:
                held = int.from_bytes(os_read(self.fd, 4), "big")
            except BlockingIOError:
                self.held = 0
                return False
            except OSError:  # a task closed it
                os_exit(EXIT_CONTROL_LOST)
        self.held = 0 if held == job else held
        return held == job


def close_unknown(last_known):
    """What came with the start and is none of ours; what Python opened is closed on exec."""
    for name in os.listdir("/dev/fd"):
        fd = int(name)
        if fd > last_known:
            try:
                if not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                    os.close(fd)
            except OSError:
                pass  # by which this list was read


def high_fd(fd):
    """The same file under a number that programs do not use and children do not inherit."""
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FD_MIN)
    except OSError:  # the limit on open files is lower than that
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(fd)
    return high
