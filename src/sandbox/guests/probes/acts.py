"""What hostile code tries, one act at a time; run as a task in the box and, as a control, outside.

main(act, target) answers {"reached": bool, "why": str}: whether the act came through, and what it saw or what
stopped it. What an act does not expect it does not catch: that is no proof of a wall.
"""

import base64
import errno
import os
import signal
import socket
import stat
import subprocess
import time

NETWORK_S = 3.0  # everything that is asked is on this machine
PROGRAM_S = 10.0


def main(act, target):
    try:
        return ACTS[act](**target)
    except (OSError, MemoryError) as error:
        return no(name_of(error))


def yes(why=""):
    return {"reached": True, "why": str(why)[:200]}


def no(why):
    return {"reached": False, "why": str(why)[:200]}


def name_of(error):
    return errno.errorcode.get(getattr(error, "errno", None) or 0, type(error).__name__)


def first_that_works(things, attempt):
    """Reached by the first that works; else the last reason."""
    why = "nothing to try"
    for thing in things:
        try:
            answer = attempt(thing)
        except OSError as error:
            why = name_of(error)
            continue
        if answer["reached"]:
            return answer
        why = answer["why"]
    return no(why)


# --- files ---------------------------------------------------------------------------------


def read_secret(paths, token):
    def attempt(path):
        with open(path, "rb") as file:
            return yes(path) if token.encode() in file.read(65536) else no("other content")

    return first_that_works(paths, attempt)


def open_file(paths, write):
    """Opened and closed: nothing is read, nothing written."""

    def attempt(path):
        os.close(os.open(path, os.O_WRONLY if write else os.O_RDONLY))
        return yes(path)

    return first_that_works(paths, attempt)


def list_folder(paths):
    return first_that_works(paths, lambda path: yes(path) if os.listdir(path) else no("empty"))


def find_path(paths):
    return first_that_works(paths, lambda path: yes(path) if os.lstat(path) else no(""))


def make_file(folders, name):
    def attempt(folder):
        path = os.path.join(folder, name)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        os.unlink(path)
        return yes(folder)

    return first_that_works(folders, attempt)


def chmod_as_it_is(path):
    """As it is already: who may do that may do anything with it."""
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode))
    return yes(path)


# --- environment and /proc -----------------------------------------------------------------


def own_environment(token):
    with open("/proc/self/environ", "rb") as file:
        at_start = file.read()
    found = any(token in value for value in os.environ.values()) or token.encode() in at_start
    return yes() if found else no("not there")


def scan_proc(name, token, pids=None):
    """In a file of every process but this one."""
    refused = 0
    seen = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()] if pids is None else pids
    for pid in seen:
        if pid == os.getpid():
            continue
        try:
            with open("/proc/%d/%s" % (pid, name), "rb") as file:
                if token.encode() in file.read():
                    return yes("process %d" % pid)
        except OSError:
            refused += 1
    return no("not in %d processes, %d of them closed" % (len(seen), refused))


def own_status(field, good):
    with open("/proc/self/status", encoding="latin-1") as file:
        value = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)[field].strip()
    return no(value) if value in good else yes(value)


def be_root():
    if 0 not in (os.getuid(), os.geteuid()):
        os.setuid(0)
    return yes("uid %d" % os.getuid())


def map_root():
    """Whether some user that this process knows is root inside, whoever that is outside."""
    with open("/proc/self/uid_map", encoding="latin-1") as file:
        text = file.read()
    ranges = [[int(number) for number in line.split()] for line in text.splitlines()]
    return yes(text.split()) if any(first == 0 and count > 0 for first, _, count in ranges) else no(text.split())


def in_namespace(kind, of):
    own = os.readlink("/proc/self/ns/" + kind)
    return yes(own) if own == of else no(own)


def descriptors(token):
    """A folder or a file of the host behind a descriptor that was handed down."""
    kinds = []
    for entry in os.listdir("/proc/self/fd"):
        fd = int(entry)
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISDIR(mode):
                inner = os.open("secret", os.O_RDONLY, dir_fd=fd)
            elif stat.S_ISREG(mode) and fd > 2:
                inner = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
            else:
                continue
            with open(inner, "rb") as file:
                if token.encode() in file.read(65536):
                    return yes("descriptor %d" % fd)
            kinds.append("%d" % fd)
        except OSError as error:
            kinds.append("%d %s" % (fd, name_of(error)))
    return no("none leads out; files: " + (", ".join(kinds) or "none"))


# --- network and sockets -------------------------------------------------------------------


def tcp(host, port, token):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as link:
        link.settimeout(NETWORK_S)
        link.connect((host, port))
        if token == "":
            return yes("connected")
        return yes() if token.encode() in link.recv(256) else no("somebody else answered")


def udp(host, port, token):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.settimeout(NETWORK_S)
        link.sendto(b"?", (host, port))
        return yes() if token.encode() in link.recv(256) else no("somebody else answered")


def page(url, token):
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=NETWORK_S) as answer:
        return yes() if token.encode() in answer.read(256) else no("somebody else answered")


def address_of(path):
    """An abstract name is as long as its listener says, and some fill it up with zeros."""
    if not path.startswith("@"):
        return path
    name = b"\0" + path[1:].encode()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        return name if link.connect_ex(name) == 0 else name.ljust(108, b"\0")


def unix(paths, token):
    def attempt(path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.settimeout(NETWORK_S)
            link.connect(address_of(path))
            return yes(path) if token.encode() in link.recv(256) else no("somebody else answered")

    return first_that_works(paths, attempt)


# --- processes -----------------------------------------------------------------------------


def may_kill(pid):
    """Signal 0: it asks whether a signal may be sent, and sends none."""
    os.kill(pid, 0)
    return yes()


def machine(code):
    """Runs machine code that ends with the error number of the call that failed."""
    path = program_file(code)
    try:
        ended = subprocess.run([path], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=PROGRAM_S)
    except subprocess.TimeoutExpired:
        return no("did not end")
    finally:
        os.unlink(path)
    if ended.returncode < 0:
        return no("ended by %s" % signal.Signals(-ended.returncode).name)
    return yes() if ended.returncode == 0 else no(errno.errorcode.get(ended.returncode, ended.returncode))


def program_file(code):
    path = os.path.join(os.getcwd(), "probe-%d-%d" % (os.getpid(), time.monotonic_ns()))
    # Made executable with no descriptor left open for writing, or it could not be run.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700), "wb") as file:
        file.write(base64.b64decode(code))
    return path


def outlive(code, token):
    """A process with another parent, another session and no environment, that names itself by its argument."""
    path = program_file(code)
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork() == 0:
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            os.execve(path, [path, token], {})
        os._exit(0)
    os.waitpid(child, 0)
    return yes("left behind")


# --- bombs, each of a size that is said ----------------------------------------------------


def processes(count, hold_s, code):  # of the code has need who cannot fork
    children = []
    try:
        while len(children) < count:
            child = os.fork()
            if child == 0:
                try:
                    time.sleep(PROGRAM_S + hold_s)
                finally:
                    os._exit(0)
            children.append(child)
        time.sleep(hold_s)
        return yes("%d processes" % count)
    except OSError as error:
        return no("%s after %d" % (name_of(error), len(children)))
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def memory(megabytes, hold_s):
    held = [b"\1" * 1048576 for _ in range(megabytes)]
    time.sleep(hold_s)
    return yes("%d MB" % len(held))


def fill(folders, megabytes):
    def attempt(folder):
        path = os.path.join(folder, "probe-filler-%d" % os.getpid())
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            block = b"\1" * 1048576
            for written in range(megabytes):
                if os.write(fd, block) < len(block):
                    return no("full after %d MB" % written)
            return yes("%d MB in %s" % (megabytes, folder))
        finally:
            os.close(fd)
            os.unlink(path)

    return first_that_works([os.getcwd() if folder == "." else folder for folder in folders], attempt)


ACTS = {
    "read_secret": read_secret,
    "open_file": open_file,
    "list_folder": list_folder,
    "find_path": find_path,
    "make_file": make_file,
    "chmod_as_it_is": chmod_as_it_is,
    "own_environment": own_environment,
    "scan_proc": scan_proc,
    "own_status": own_status,
    "be_root": be_root,
    "map_root": map_root,
    "in_namespace": in_namespace,
    "descriptors": descriptors,
    "tcp": tcp,
    "udp": udp,
    "page": page,
    "unix": unix,
    "may_kill": may_kill,
    "machine": machine,
    "outlive": outlive,
    "processes": processes,
    "memory": memory,
    "fill": fill,
}
