"""The Python side of a worker: reads jobs from its host, runs them, answers.

Owns: everything that happens inside the worker's process. Its neighbour, the host
(worker.ts and frames.ts), owns the process itself, its limits and its death.

Invariants
 1. Only the process that the host started answers: a forked child ends here.
 2. A job that needs a token runs only if this process took that job's token; a token
    that the host took back makes the job one that never ran.
 3. A job's answer leaves after all that the job wrote to descriptors 1 and 2 was either
    read by the host or is followed there by a mark that the answer announces.
 4. Nothing here depends on names that a task can replace: what is needed later is bound
    in this module before the first task runs.

Frames are a 4-byte big-endian length, one byte of kind, and the rest (see frames.ts).
"""

import builtins
import errno
import fcntl
import io
import json
import os
import resource
import select
import struct
import sys
import time
from _frozen_importlib import ModuleSpec
from types import CoroutineType, ModuleType

# Bound here so that a task which replaces a builtin breaks only itself.
BaseException, Exception, OSError = builtins.BaseException, builtins.Exception, builtins.OSError
ChildProcessError, MemoryError, ModuleNotFoundError = (
    builtins.ChildProcessError, builtins.MemoryError, builtins.ModuleNotFoundError)
RecursionError, StopIteration, SyntaxError, SystemExit, TypeError, ValueError = (
    builtins.RecursionError, builtins.StopIteration, builtins.SyntaxError, builtins.SystemExit,
    builtins.TypeError, builtins.ValueError)
UnicodeEncodeError = builtins.UnicodeEncodeError
bool, bytes, dict, float, int, list, memoryview, set, str, tuple, type = (
    builtins.bool, builtins.bytes, builtins.dict, builtins.float, builtins.int, builtins.list,
    builtins.memoryview, builtins.set, builtins.str, builtins.tuple, builtins.type)
callable, compile, exec, getattr, hasattr, id, isinstance, len, range, repr, reversed, setattr, sorted = (
    builtins.callable, builtins.compile, builtins.exec, builtins.getattr, builtins.hasattr, builtins.id,
    builtins.isinstance, builtins.len, builtins.range, builtins.repr, builtins.reversed, builtins.setattr,
    builtins.sorted)

os_read, os_write, os_pread, os_exit, getpid, waitid = (
    os.read, os.write, os.pread, os._exit, os.getpid, getattr(os, "waitid", None))
ioctl, monotonic_ns = fcntl.ioctl, time.monotonic_ns
getrusage, RUSAGE_CHILDREN = resource.getrusage, resource.RUSAGE_CHILDREN

CONTROL_AT_SPAWN = 3  # the host puts the control channel there
PROCESS_COUNT_AT_SPAWN = 4  # and here, where there is a cgroup, its count of processes
CONTROL_FD_MIN = 700  # above what programs use, below the usual limit of 1 024
EXIT_CONTROL_LOST = 113  # the host reads this as: the task closed the worker's channel
READ_BYTES = 64 * 1024
RESULT_BYTES_MAX = 64 * 1024 * 1024
MESSAGE_CHARS_MAX = 8 * 1024
TRACEBACK_CHARS_MAX = 32 * 1024
TIOCOUTQ = 0x5411  # Linux: bytes written to a socket or terminal that nobody read yet
NO_BYTES = b"\0\0\0\0"
ON_LINUX = sys.platform == "linux"

FLAG_MARK_OUT, FLAG_MARK_ERR, FLAG_LEFTOVERS = 1, 2, 4
JOB_NEEDS_TOKEN, JOB_HAS_KWARGS = 1, 2

JOB_HEAD = struct.Struct(">IBHHII")  # job, flags, hash, function, args, kwargs lengths
ANSWER_HEAD = struct.Struct(">IcIQQB")  # frame length, kind, job, run us, drained ns, flags
LENGTH = struct.Struct(">I")
TOKEN = struct.Struct(">I")
unpack_job, pack_answer, pack_length = JOB_HEAD.unpack_from, ANSWER_HEAD.pack, LENGTH.pack

PROGRAM_FILE = "program.py"
PROGRAM_PREFIX = "potluck_program_"  # of module names; never shown
GUEST_FILE = __file__
# Import names whose package is called otherwise: the hint must name what pip knows.
PACKAGE_OF = {
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}

# The parts of json that are C: its Python parts look up builtins that a task may have replaced.
scan_json = json.JSONDecoder().scan_once
write_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":")).iterencode
write_ascii_json = json.JSONEncoder(allow_nan=False, separators=(",", ":")).iterencode


def decode_json(text):
    text = text.strip(" \t\n\r")
    try:
        value, end = scan_json(text, 0)
    except StopIteration as stop:
        raise ValueError("a value is missing at character %d" % stop.value)
    if end != len(text):
        raise ValueError("there is more behind the value, at character %d" % end)
    return value


def encode_json(value):
    return "".join(write_json(value, True))


def encode_ascii_json(value):
    return "".join(write_ascii_json(value, True))


class Failure(Exception):
    """A job's failure in the words that the host passes on."""

    def __init__(self, code, type_name, message, traceback=None, hint=None):
        self.error = {"code": code, "type": type_name, "message": shorten(message, MESSAGE_CHARS_MAX)}
        if traceback:
            self.error["traceback"] = shorten(traceback, TRACEBACK_CHARS_MAX)
        if hint:
            self.error["hint"] = hint


def shorten(text, limit):
    if len(text) <= limit:
        return text
    half = limit // 2
    return text[:half] + "\n[... %d characters left out ...]\n" % (len(text) - limit) + text[-half:]


# --- the control channel -------------------------------------------------------------


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

    def __init__(self, path):
        os.mkfifo(path, 0o600)
        # Read-write, so that an empty FIFO says "nothing there" and never "closed".
        self.fd = high_fd(os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC))
        self.held = 0

    def take(self, job):
        held = self.held
        while held < job:
            try:
                held = int.from_bytes(os_read(self.fd, 4), "big")
            except OSError:
                self.held = 0
                return False
        self.held = 0 if held == job else held
        return held == job


def high_fd(fd):
    """The same file under a number that programs do not use and children do not inherit."""
    try:
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, CONTROL_FD_MIN)
    except OSError:  # the limit on open files is lower than that
        high = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 64)
    os.close(fd)
    return high


# --- what a job writes ---------------------------------------------------------------


class Raw(io.FileIO):
    """Descriptor 1 or 2, counting what Python's own stream writes to it in a job."""

    written = 0

    def write(self, data):
        size = io.FileIO.write(self, data)
        self.written += size or 0
        return size


class Stream:
    """One of stdout and stderr, and the rule of invariant 3 for it."""

    def __init__(self, fd, name):
        self.fd = fd
        self.name = name
        self.intact = True
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
                unread = ioctl(self.fd, TIOCOUTQ, NO_BYTES) != NO_BYTES
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
        """Notes a program that wrote more than the `known` bytes of its streams."""
        program.jobs += 1
        if program.jobs <= self.JOBS_COUNTED and self.fd is not None and self.read() - self.before != known:
            program.writes_past_us = True


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


# --- programs ------------------------------------------------------------------------


class ProgramLoader:
    """What the import system asks of a module: lets inspect and linecache find the source."""

    def __init__(self, source):
        self.source = source

    def get_source(self, _name):
        return self.source


class Program:
    """A program's source and, once it ran without fault, its module."""

    def __init__(self, name, source):
        self.name = name
        self.source_bytes = source
        self.source = ""
        self.module = None
        self.writes_past_us = False
        self.jobs = 0

    def load(self):
        try:
            self.source = self.source_bytes.decode("utf-8")
            code = compile(self.source, PROGRAM_FILE, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise syntax_failure(error, self)
        module = ModuleType(self.name)
        loader = ProgramLoader(self.source)
        module.__file__ = PROGRAM_FILE
        module.__loader__ = loader
        module.__spec__ = ModuleSpec(self.name, loader, origin=PROGRAM_FILE)
        sys.modules[self.name] = module
        show_source(self)
        try:
            exec(code, module.__dict__)
        except BaseException:
            sys.modules.pop(self.name, None)
            raise
        self.module = module


def show_source(program):
    """All programs are called program.py; whoever prints source lines gets this one's."""
    linecache = sys.modules.get("linecache")
    if linecache is None:
        return
    source = program.source
    linecache.cache[PROGRAM_FILE] = (len(source), None, source.splitlines(True), PROGRAM_FILE)


def function_of(program, name):
    function = program.module.__dict__.get(name)
    if callable(function):
        return function
    if function is not None:
        raise Failure("function_missing", "TypeError", "%s is a %s, not a function" % (name, type_name(function)),
                      hint=known_functions(program, name))
    raise Failure("function_missing", "NameError", "the program has no function %s" % name,
                  hint=known_functions(program, name))


def known_functions(program, wanted):
    names = sorted(
        name for name, value in program.module.__dict__.items()
        if callable(value) and not name.startswith("__") and getattr(value, "__module__", None) == program.name)
    if not names:
        return "the program defines no function; write: def %s(): ..." % wanted
    from difflib import get_close_matches
    near = get_close_matches(wanted, names, 3, 0.5)
    ordered = near + [name for name in names if name not in near]
    shown = ", ".join(ordered[:20]) + (", ..." if len(ordered) > 20 else "")
    return "the program defines: %s" % shown


# --- values --------------------------------------------------------------------------


def type_name(value):
    kind = type(value)
    module = kind.__module__
    if module in ("builtins", "__main__") or str(module).startswith(PROGRAM_PREFIX):
        return kind.__qualname__
    return "%s.%s" % (module, kind.__qualname__)


def encode_result(value):
    try:
        return encode_json(value).encode("utf-8")
    except UnicodeEncodeError:
        return encode_ascii_json(value).encode("ascii")  # lone surrogates, as \ud800
    except (TypeError, ValueError, RecursionError) as error:
        found = first_misfit(value)
        if found is None:
            raise Failure("result_not_json", type(error).__name__, "the result cannot be written as JSON: %s" % error)
        path, misfit, hint = found
        raise Failure("result_not_json", misfit, "%s is %s, which JSON cannot hold" % (path, misfit), hint=hint)


HINTS = {
    "set": "return sorted(s) or list(s)",
    "frozenset": "return sorted(s) or list(s)",
    "bytes": "return data.decode() for text, or base64.b64encode(data).decode()",
    "bytearray": "return data.decode() for text, or base64.b64encode(data).decode()",
    "generator": "return list(...) of it",
    "map": "return list(...) of it", "filter": "return list(...) of it", "zip": "return list(...) of it",
    "range": "return list(...) of it", "dict_keys": "return list(...) of it",
    "dict_values": "return list(...) of it", "dict_items": "return dict(...) or list(...) of it",
    "complex": "return [z.real, z.imag]",
    "decimal.Decimal": "return str(d) or float(d)",
    "fractions.Fraction": "return [f.numerator, f.denominator]",
    "datetime.datetime": "return d.isoformat()", "datetime.date": "return d.isoformat()",
    "numpy.ndarray": "return a.tolist()",
    "pandas.core.frame.DataFrame": "return df.to_dict('records')",
    "async_generator": "return [item async for item in it]",
    "function": "return its result: call it",
}


def hint_for(value):
    name = type_name(value)
    if name in HINTS:
        return HINTS[name]
    if name.startswith("numpy."):
        return "return x.item()"
    return "return dicts, lists, strings, numbers, booleans or None, such as vars(x)"


def first_misfit(root):
    """The first value that JSON cannot hold: its path, its type, a hint. None when all fit."""
    open_ids = set()
    # A list as the stack: results may nest deeper than calls may.
    stack = [(root, "result", False)]
    while stack:
        value, path, leaving = stack.pop()
        if leaving:
            open_ids.discard(value)
            continue
        if value is None or isinstance(value, (str, bool, int)):
            continue
        if isinstance(value, float):
            if value != value or value in (float("inf"), float("-inf")):
                return path, {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(float(value))], \
                    "return None or a string in its place"
            continue
        if not isinstance(value, (dict, list, tuple)):
            return path, type_name(value), hint_for(value)
        if id(value) in open_ids:
            return path, "a %s that contains itself" % type_name(value), "return a tree, without the loop"
        if len(open_ids) > 900:
            return shorten(path, 200), "nested too deeply", "return fewer than 900 levels"
        open_ids.add(id(value))
        stack.append((id(value), path, True))
        if isinstance(value, dict):
            for key, item in reversed(list(value.items())):
                if not (key is None or isinstance(key, (str, int, float, bool))):
                    return path, "a dict with a key of type %s" % type_name(key), "use str(key), such as {str(k): v ...}"
                if isinstance(key, float) and (key != key or key in (float("inf"), float("-inf"))):
                    return path, "a dict with the key %r" % key, "use str(key)"
                shown = encode_ascii_json(key) if isinstance(key, str) else repr(key)
                stack.append((item, "%s[%s]" % (path, shorten(shown, 80)), False))
        else:
            for index in range(len(value) - 1, -1, -1):
                stack.append((value[index], "%s[%d]" % (path, index), False))
    return None


def parse_arguments(args, kwargs):
    positional = parse_json(args, "arguments", list, "a JSON array")
    named = {} if kwargs is None else parse_json(kwargs, "named arguments", dict, "a JSON object")
    return positional, named


def parse_json(data, what, kind, kind_name):
    try:
        value = decode_json(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Failure("bad_arguments", type(error).__name__, "the %s are not JSON: %s" % (what, error))
    if type(value) is not kind:
        raise Failure("bad_arguments", "TypeError", "the %s are %s, not %s" % (what, type_name(value), kind_name))
    return value


# --- failures ------------------------------------------------------------------------


def message_of(error):
    try:
        return str(error)
    except BaseException:
        return "<the exception's own text could not be made>"


def user_traceback(error, program):
    """The traceback as Python prints it, from the task's first frame on."""
    import traceback
    import linecache  # noqa: F401 - show_source fills it
    show_source(program)
    seen = set()
    link = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = from_task(link.__traceback__)
        if link.__context__ is not None and isinstance(link.__context__, Failure):
            link.__context__ = None
        link = link.__cause__ or link.__context__
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return text.rstrip("\n").replace(program.name + ".", "")


def from_task(trace):
    """The traceback from the program's first frame on; without one, from the first that is not ours."""
    frame = trace
    while frame is not None and frame.tb_frame.f_code.co_filename != PROGRAM_FILE:
        frame = frame.tb_next
    if frame is None:
        frame = trace
        while frame is not None and frame.tb_frame.f_code.co_filename == GUEST_FILE:
            frame = frame.tb_next
    return frame


def failure_of(error, program, settings):
    """Any exception that came out of a task, as a Failure."""
    if isinstance(error, Failure):
        return error
    name = type_name(error)
    text = message_of(error)
    if isinstance(error, SystemExit):
        return Failure("exited", name, "the task called sys.exit(%s) instead of returning" % exit_code_text(error),
                       hint="return a value; raise an exception to fail")
    try:
        trace = user_traceback(error, program)
    except BaseException:
        trace = "%s: %s" % (name, text)
    if isinstance(error, MemoryError) and settings["memoryMb"] is not None:
        return Failure("out_of_memory", name, "the task went over its memory limit of %d MB" % settings["memoryMb"], trace)
    if isinstance(error, ModuleNotFoundError) and error.name:
        return Failure("exception", name, text, trace, module_hint(error.name, settings))
    return Failure("exception", name, text, trace)


def exit_code_text(error):
    return "" if error.code is None else shorten(repr(error.code), 200)


def module_hint(module, settings):
    top = module.partition(".")[0]
    return "peer %s has no module %s for %s; install it there: %s -m pip install %s" % (
        settings["name"], top, sys.executable, sys.executable, PACKAGE_OF.get(top, top))


def syntax_failure(error, program):
    import traceback
    if not isinstance(error, SyntaxError):
        return Failure("syntax_error", type_name(error), "the program cannot be compiled: %s" % message_of(error))
    show_source(program)
    place = "line %s" % error.lineno + (", column %s" % error.offset if error.offset else "")
    return Failure("syntax_error", type_name(error), "%s (%s, %s)" % (error.msg, PROGRAM_FILE, place),
                   "".join(traceback.format_exception_only(type(error), error)).rstrip("\n"))


def call_failure(error, function, name, program, settings):
    """A TypeError raised by the call itself, before any line of the task ran."""
    trace = error.__traceback__
    if trace is None or trace.tb_next is not None:
        return failure_of(error, program, settings)
    try:
        from inspect import signature
        hint = "it is defined as: %s%s" % (name, signature(function))
    except Exception:
        hint = None
    return Failure("bad_arguments", "TypeError", message_of(error), hint=hint)


# --- leftovers -----------------------------------------------------------------------


class Leftovers:
    """Whether a job left processes behind. Exact with a cgroup's count; else by children."""

    def __init__(self, use_count):
        self.fd = None
        if use_count:
            try:
                self.fd = high_fd(PROCESS_COUNT_AT_SPAWN)
            except OSError:
                self.fd = None
        if self.fd is None and ON_LINUX:
            adopt_orphans()

    def any(self):
        if self.fd is not None:
            try:
                return os_pread(self.fd, 16, 0) != b"1\n" and self._others()
            except OSError:
                return True  # a task closed it
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
            if int(os_pread(self.fd, 16, 0)) <= len(os.listdir("/proc/self/task")):
                return False
            time.sleep(0.0002)
        return True


def adopt_orphans():
    """Children of children that end become ours, so that they are seen as left behind."""
    import ctypes
    PR_SET_CHILD_SUBREAPER = 36
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


# --- the loop ------------------------------------------------------------------------


class Guest:
    def __init__(self):
        self.pid = getpid()
        self.control = Control(high_fd(CONTROL_AT_SPAWN))
        self.settings = json.loads(self.control.next_frame()[1:])
        self.out = Stream(1, "stdout")
        self.err = Stream(2, "stderr")
        self.mark = self.settings["mark"].encode("ascii")
        self.children = Children()
        self.count = WriteCount()
        self.leftovers = Leftovers(self.settings["processCount"])
        self.tokens = Tokens(self.settings["tokens"])
        self.programs = {}
        self.last_program = None

    def run(self):
        self.answer_ready()
        next_frame = self.control.next_frame
        while True:
            frame = next_frame()
            kind = frame[0]
            if kind == 74:  # J: a job
                self.job(frame)
            elif kind == 80:  # P: a program's source
                size = frame[1]
                name = frame[2:2 + size].decode("ascii")
                self.programs[name] = Program(PROGRAM_PREFIX + name[:16], frame[2 + size:])
            elif kind == 68:  # D: the host forgets a program
                self.forget(frame[1:].decode("ascii"))

    def answer_ready(self):
        body = json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "pid": self.pid}).encode("ascii")
        self.control.send(pack_length(len(body) + 1) + b"H" + body)

    def forget(self, name):
        program = self.programs.pop(name, None)
        if program is not None:
            sys.modules.pop(program.name, None)
        if self.last_program is program:
            self.last_program = None

    def job(self, frame):
        job, flags, hash_size, function_size, args_size, kwargs_size = unpack_job(frame, 1)
        if flags & JOB_NEEDS_TOKEN and not self.tokens.take(job):
            return
        at = 1 + JOB_HEAD.size
        program_hash = frame[at:at + hash_size].decode("ascii")
        at += hash_size
        function = frame[at:at + function_size].decode("utf-8")
        at += function_size
        args = frame[at:at + args_size]
        at += args_size
        kwargs = frame[at:at + kwargs_size] if flags & JOB_HAS_KWARGS else None
        program = self.programs[program_hash]
        self.count.begin(program)
        started = monotonic_ns()
        try:
            body = self.call(program, function, args, kwargs)
            ended = monotonic_ns()
            kind = b"R"
            if len(body) > RESULT_BYTES_MAX:
                raise Failure("result_too_large", "ValueError", "the result is %d bytes of JSON; at most %d may be returned"
                              % (len(body), RESULT_BYTES_MAX))
        except BaseException as error:
            if getpid() != self.pid:
                self.end_child(error, program)
            ended = monotonic_ns()  # what follows is not the task's time
            kind = b"F"
            failure = failure_of(error, program, self.settings)
            body = encode_ascii_json(failure.error).encode("ascii")
            error = failure = None
        self.answer(kind, job, program, (ended - started) // 1000, body)

    def call(self, program, name, args, kwargs):
        if program.module is None:
            program.load()
        elif program is not self.last_program:
            show_source(program)
        self.last_program = program
        function = function_of(program, name)
        positional, named = parse_arguments(args, kwargs)
        try:
            value = function(*positional, **named)
        except TypeError as error:
            raise call_failure(error, function, name, program, self.settings)
        if type(value) is CoroutineType:
            import asyncio
            value = asyncio.run(value)
        if value is None:
            return b"null"
        return encode_result(value)

    def answer(self, kind, job, program, run_us, body):
        if getpid() != self.pid:
            self.end_child(None, None)
        out, err = self.out, self.err
        out.flush()
        err.flush()
        self.count.end(program, out.raw.written + err.raw.written)
        others_wrote = self.children.came_home()
        mark = self.mark + b"%08x" % job
        flags = 0
        if out.mark(mark, program, others_wrote):
            flags |= FLAG_MARK_OUT
        if err.mark(mark, program, others_wrote):
            flags |= FLAG_MARK_ERR
        if not (out.intact and err.intact) or self.leftovers.any():
            flags |= FLAG_LEFTOVERS
        head = pack_answer(len(body) + 22, kind, job, run_us, monotonic_ns(), flags)
        if len(body) < READ_BYTES:
            self.control.send(head + body)
        else:
            self.control.send(head)
            self.control.send(body)

    def end_child(self, error, program):
        """A forked child that came back from the task ends as a Python process of its own would."""
        status = 0
        if isinstance(error, SystemExit):
            status = error.code if isinstance(error.code, int) else bool(error.code)
        elif error is not None:
            status = 1
            error = failure_of(error, program, self.settings)
            self.err.text.write(error.error.get("traceback", error.error["message"]) + "\n")
        flush_quietly(self.out.text)
        flush_quietly(self.err.text)
        os_exit(status)


def main():
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)  # results come out digit for digit, however many
    sys.path[0] = ""  # a program finds what it writes to its folder, and not our files
    Guest().run()


main()
