"""A program: its source, its module, its functions."""

import builtins
import os
import sys
from _frozen_importlib import ModuleSpec
from io import FileIO
from types import ModuleType

from potluck_guest.failures import PROGRAM_FILE, Failure, syntax_failure, type_name

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins
SCRATCH = os.getcwd()  # at the start: a task may go elsewhere


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
        self.filed = 0  # bytes that we ourselves wrote for it since it was asked

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
        # For processes that multiprocessing starts afresh: they import what they are to run.
        self.filed = write_file(self.name + ".py", self.source_bytes)
        self.show_source()
        try:
            exec(code, module.__dict__)
        except BaseException:
            sys.modules.pop(self.name, None)
            raise
        self.module = module

    def show_source(self):
        """All programs are called program.py; whoever prints source lines gets this one's."""
        linecache = sys.modules.get("linecache")
        if linecache is None:
            return
        source = self.source
        linecache.cache[PROGRAM_FILE] = (len(source), None, source.splitlines(True), PROGRAM_FILE)


def write_file(name, data):
    """Returns how many bytes were written."""
    try:
        with FileIO(SCRATCH + "/" + name, "w") as file:
            return file.write(data)
    except OSError:
        return 0  # a full disk: only processes started afresh miss the file, and say so


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
