"""Jobs in, answers out.

Invariants
 1. Only the process that the host started answers: a forked child ends here.
 2. A job that needs a token runs only if this process took that job's token; a token
    that the host took back makes the job one that never ran.
"""

import builtins
import json
import os
import struct
import sys
import time
from types import CoroutineType

from potluck_guest.channel import READ_BYTES, Control, Tokens, close_unknown, high_fd
from potluck_guest.failures import PROGRAM_PREFIX, Failure, call_failure, failure_of
from potluck_guest.leftovers import Leftovers
from potluck_guest.programs import Program, function_of
from potluck_guest.streams import Children, Stream, WriteCount, flush_quietly
from potluck_guest.values import RESULT_BYTES_MAX, encode_ascii_json, encode_result, parse_arguments

__builtins__ = dict(vars(builtins))  # ours: a task may replace the names in builtins

getpid, os_exit, monotonic_ns = os.getpid, os._exit, time.monotonic_ns

CONTROL_AT_SPAWN = 3  # the host puts the control channel there,
TOKENS_AT_SPAWN = 5  # and the tokens here; between them is the count of processes
FLAG_MARK_OUT, FLAG_MARK_ERR, FLAG_LEFTOVERS = 1, 2, 4
JOB_NEEDS_TOKEN, JOB_HAS_KWARGS = 1, 2
JOB_HEAD = struct.Struct(">IBHHII")  # job, flags, hash, function, args, kwargs lengths
ANSWER_HEAD = struct.Struct(">IcIQQB")  # frame length, kind, job, run us, drained ns, flags
JOB_NAMES_AT = 1 + JOB_HEAD.size
CALLED_MAX = 64
LENGTH = struct.Struct(">I")
unpack_job, pack_answer, pack_length = JOB_HEAD.unpack_from, ANSWER_HEAD.pack, LENGTH.pack


class Guest:
    def __init__(self):
        self.pid = getpid()
        close_unknown(TOKENS_AT_SPAWN)
        self.control = Control(high_fd(CONTROL_AT_SPAWN))
        self.settings = json.loads(self.control.next_frame()[1:])
        self.out = Stream(1, "stdout")
        self.err = Stream(2, "stderr")
        self.mark = self.settings["mark"].encode("ascii")
        self.children = Children()
        self.count = WriteCount()
        self.leftovers = Leftovers(self.settings["othersCounted"])
        self.tokens = Tokens(high_fd(TOKENS_AT_SPAWN))
        self.programs = {}
        # Program and function by the bytes that name them in a job: mostly the same as in the one before.
        self.called = {}
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
                self.called.clear()
            elif kind == 68:  # D: the host forgets a program
                self.forget(frame[1:].decode("ascii"))

    def answer_ready(self):
        body = json.dumps({"version": "%d.%d.%d" % sys.version_info[:3], "pid": self.pid}).encode("ascii")
        self.control.send(pack_length(len(body) + 1) + b"H" + body)

    def forget(self, name):
        self.called.clear()
        program = self.programs.pop(name, None)
        if program is not None:
            sys.modules.pop(program.name, None)
        if self.last_program is program:
            self.last_program = None

    def job(self, frame):
        job, flags, hash_size, function_size, args_size, kwargs_size = unpack_job(frame, 1)
        if flags & JOB_NEEDS_TOKEN and not self.tokens.take(job):
            return
        at = JOB_NAMES_AT + hash_size + function_size
        names = frame[JOB_NAMES_AT:at]
        called = self.called.get(names)
        if called is None or called[2] != hash_size:
            called = self.named(names, hash_size)
        program, function, _ = called
        args = frame[at:at + args_size]
        at += args_size
        kwargs = frame[at:at + kwargs_size] if flags & JOB_HAS_KWARGS else None
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

    def named(self, names, hash_size):
        if len(self.called) >= CALLED_MAX:
            self.called.clear()
        called = self.programs[names[:hash_size].decode("ascii")], names[hash_size:].decode("utf-8"), hash_size
        self.called[names] = called
        return called

    def call(self, program, name, args, kwargs):
        if program.module is None:
            program.load()
        elif program is not self.last_program:
            program.show_source()
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
