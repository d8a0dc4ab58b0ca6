"""What went wrong in a task, in the words that its submitter reads."""

import builtins
import errno
import os
import sys

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins

MESSAGE_CHARS_MAX = 8 * 1024
TRACEBACK_CHARS_MAX = 32 * 1024
PROGRAM_FILE = "program.py"
PROGRAM_PREFIX = "potluck_program_"  # of module names; never shown
OUR_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Where a task in the box has files of its own, and what it sees of the system.
FOLDERS_INSIDE = ("/scratch/", "/tmp/", "/dev/", "/proc/", "/usr/")
# Import names whose package is called otherwise: the hint must name what pip knows.
PACKAGE_OF = {
    "PIL": "pillow", "bs4": "beautifulsoup4", "cv2": "opencv-python", "dateutil": "python-dateutil",
    "skimage": "scikit-image", "sklearn": "scikit-learn", "yaml": "pyyaml",
}


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


def type_name(value):
    kind = type(value)
    module = kind.__module__
    if module in ("builtins", "__main__") or str(module).startswith(PROGRAM_PREFIX):
        return kind.__qualname__
    return "%s.%s" % (module, kind.__qualname__)


def message_of(error):
    try:
        return str(error)
    except BaseException:
        return "<the exception's own text could not be made>"


def user_traceback(error, program):
    """The traceback as Python prints it, from the task's first frame on."""
    import traceback
    import linecache  # noqa: F401 - show_source fills it
    program.show_source()
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
        while frame is not None and frame.tb_frame.f_code.co_filename.startswith(OUR_FOLDER):
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
        return Failure("module_missing", name, text, trace, module_hint(error.name, settings))
    return Failure("exception", name, text, trace, wall_hint(error) if settings["boxed"] else None)


def exit_code_text(error):
    return "" if error.code is None else shorten(repr(error.code), 200)


def module_hint(module, settings):
    top = module.partition(".")[0]
    there = "there (what is installed with --user is not in the box)" if settings["boxed"] else "there"
    return "peer %s has no module %s for %s; install it %s: %s -m pip install %s" % (
        settings["name"], top, sys.executable, there, sys.executable, PACKAGE_OF.get(top, top))


def wall_hint(error):
    """What an error has to do with the box: what it keeps out looks like an accident from inside."""
    seen = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, OSError):
            if error.errno == errno.EAFNOSUPPORT or type(error).__name__ == "gaierror":
                return "tasks have no network in the box (isolation 2); outside it run only tasks of one's own: potluck peer --isolation 1, and potluck cpu --confidential there"
            path = error.filename
            if error.errno in (errno.ENOENT, errno.EACCES, errno.EROFS) and isinstance(path, str) and path[:1] in "/~" and not path.startswith(FOLDERS_INSIDE):
                return "tasks see no files of the machine in the box (isolation 2): pass what it needs as arguments; outside it run only tasks of one's own: potluck peer --isolation 1, and potluck cpu --confidential there"
        error = getattr(error, "reason", None) or error.__cause__ or error.__context__
    return None


def syntax_failure(error, program):
    import traceback
    if not isinstance(error, SyntaxError):
        return Failure("syntax_error", type_name(error), "the program cannot be compiled: %s" % message_of(error))
    program.show_source()
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
