"""The guard: a process that starts the servers of a test run and outlives the run itself by a moment.

A script of this folder never starts a server as its own child.  It asks the guard to, over a socket.  The guard is a session of its own and a
"child subreaper": whatever its children start and orphan (a daemon, a worker of a killed master) becomes its child again, so nothing escapes it.
When the socket closes, for whatever reason, SIGKILL of the script included, the guard kills every descendant, removes the temporary folders and ends.
Its children die with it in turn (PR_SET_PDEATHSIG), so killing the guard leaves no server either.  After `keep` it waits for SIGTERM instead.

The guard never reads a pid file and never kills a process that is not its descendant.
"""
import atexit
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
MESSAGE_MAX = 1 << 20


def prctl(option, value):
    """prctl(2); raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


# ---- the guard's own side -------------------------------------------------------------------------------------------------------------------

class _Guard:
    """State of the guard process: what it started, what it must remove."""

    def __init__(self, sock):
        self.sock = sock
        self.status = {}                    # of what was started: how it ended, or None
        self.folders = []
        self.kept = False
        self.stopped = False
        self.wakeup, writer = os.pipe()     # a byte arrives with every SIGCHLD, so that the dead are collected at once
        os.set_blocking(self.wakeup, False)
        os.set_blocking(writer, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)

    def reap(self):
        """Collects every dead child without waiting and remembers how those that it started ended; returns whether there are children left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid in self.status:
                self.status[pid] = os.waitstatus_to_exitcode(status)

    def spawn(self, request):
        """Forks and executes one program, as a rule in a session of its own; output goes to the file `log`.  There is one thread: fork is safe."""
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        stdout = os.open(request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if request.get("stdout") else log
        reader, writer = os.pipe()          # close-on-exec: carries only the error of a failed exec
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reader)
                self._become(request, stdout, log)
            except BaseException as error:  # the forked child must not return into the guard's loop
                os.write(writer, str(error).encode())
            os._exit(127)
        self.status[pid] = None             # pids come round: what an earlier bearer of this one ended with is no longer true
        for fd in {log, stdout, writer}:
            os.close(fd)
        with os.fdopen(reader, "rb") as stream:
            error = stream.read().decode()
        if error:
            return {"error": f"{request['argv'][0]}: {error}"}
        return {"pid": pid}

    @staticmethod
    def _become(request, stdout, stderr):
        if request["session"]:
            os.setsid()
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        if request.get("cwd"):
            os.chdir(request["cwd"])
        os.dup2(os.open(request.get("stdin") or os.devnull, os.O_RDONLY), 0)
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        os.execvpe(request["argv"][0], request["argv"], request["env"])

    def answer(self, request):
        operation = request["op"]
        if operation == "spawn":
            return self.spawn(request)
        if operation == "status":
            return {"status": self.status.get(request["pid"])}
        if operation == "folder":           # made here, so that none is made and then not remembered
            self.folders.append(tempfile.mkdtemp(prefix=request["prefix"], dir=request["parent"]))
            return {"path": self.folders[-1]}
        if operation == "keep":
            self.kept = True
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)                # a pipe behind the script must see its end
            os.close(null)
            return {}
        return {"error": f"unknown operation {operation}"}

    def serve(self):
        """Answers requests until the script is gone, then, when kept, until a signal."""
        while not self.stopped:
            ready = self.wait([self.sock, self.wakeup])
            if self.sock not in ready:
                continue
            try:
                message = self.sock.recv(MESSAGE_MAX)
            except ConnectionResetError:    # the script died before it had read an answer
                message = b""
            if not message:
                break
            try:
                reply = self.answer(json.loads(message))
            except OSError as error:
                reply = {"error": str(error)}
            try:
                self.sock.send(json.dumps(reply).encode())
            except OSError:                 # the script died while it waited
                break
        while self.kept and not self.stopped:
            self.wait([self.wakeup])

    def wait(self, sources):
        """Waits for a request or a signal; returns what is ready, with the dead children collected."""
        ready = select.select(sources, [], [])[0]
        if self.wakeup in ready:
            os.read(self.wakeup, 4096)
            self.reap()
        return ready

    def clean(self):
        """Kills all descendants, again and again until there is none, then removes the folders."""
        while self.reap():
            for pid in descendants(os.getpid()):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.005)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)


def descendants(root):
    """Pids of all processes below `root`, zombies excluded (they are reaped by their parent)."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stream:
                fields = stream.read().rpartition(")")[2].split()
        except OSError:
            continue                        # it has just ended
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found, queue = [], [root]
    while queue:
        below = children.get(queue.pop(), [])
        found += below
        queue += below
    return found


def _main():
    sock = socket.socket(fileno=int(sys.argv[1]))
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = _Guard(sock)

    def stop(_number, _frame):
        guard.stopped = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    try:
        guard.serve()
    finally:
        guard.clean()


# ---- the script's side ----------------------------------------------------------------------------------------------------------------------

class GuardError(Exception):
    """The guard could not do what was asked."""


class _Client:
    """One guard per script, started at the first use."""

    def __init__(self):
        self.lock = threading.Lock()
        self.sock = None
        self.process = None
        self.kept = False

    def start(self):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for size in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            ours.setsockopt(socket.SOL_SOCKET, size, MESSAGE_MAX)
            theirs.setsockopt(socket.SOL_SOCKET, size, MESSAGE_MAX)
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), str(theirs.fileno())], pass_fds=[theirs.fileno()],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        theirs.close()
        self.sock = ours
        atexit.register(self.stop_for_good)
        for number in (signal.SIGTERM, signal.SIGHUP):
            if threading.current_thread() is threading.main_thread() and signal.getsignal(number) == signal.SIG_DFL:
                signal.signal(number, _exit_by_signal)

    def ask(self, **request):
        with self.lock:
            if self.sock is None:
                self.start()
            self.sock.send(json.dumps(request).encode())
            reply = self.sock.recv(MESSAGE_MAX)
        if not reply:
            raise GuardError("the guard process has ended")
        reply = json.loads(reply)
        if "error" in reply:
            raise GuardError(reply["error"])
        return reply

    def stop_for_good(self):
        """At the end of the script: nothing interrupts the cleaning up any more, or the script would end before it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        self.stop()

    def stop(self):
        """Ends the guard and everything it started; returns when nothing is left."""
        if self.sock is None:
            return
        self.sock.close()
        self.sock = None
        if not self.kept:
            self.process.wait()


def _exit_by_signal(number, _frame):
    signal.signal(number, signal.SIG_IGN)   # a second one must not interrupt the cleaning up
    sys.exit(128 + number)


_client = _Client()


class Process:
    """A program started by the guard, in a session (and so a process group) of its own, or in the guard's session.

    `log` receives its standard error, and its standard output too unless `stdout` names another file.  Both are appended to.  `stdin` names a file.
    """

    def __init__(self, argv, log, env=None, cwd=None, stdout=None, stdin=None, session=True):
        self.argv = [str(word) for word in argv]
        self.log = str(log)
        environment = {key: str(value) for key, value in (os.environ if env is None else env).items()}
        self.pid = _client.ask(op="spawn", argv=self.argv, log=self.log, stdout=stdout and str(stdout), env=environment,
                               cwd=cwd and str(cwd), stdin=stdin and str(stdin), session=session)["pid"]
        try:
            self._pidfd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._pidfd = None              # it has already ended and been collected

    def alive(self):
        """Whether it still runs."""
        return not self._ended(0)

    def _ended(self, seconds):
        if self._pidfd is None:
            return True
        ready = select.select([self._pidfd], [], [], seconds)[0]
        if not ready:
            return False
        os.close(self._pidfd)
        self._pidfd = None
        return True

    def wait(self, seconds):
        """Waits until it ends and returns its exit code (negative: the signal); raises TimeoutError."""
        if not self._ended(seconds):
            raise TimeoutError(f"{os.path.basename(self.argv[0])} (pid {self.pid}) still runs after {seconds} s\n{tail(self.log)}")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            status = _client.ask(op="status", pid=self.pid)["status"]
            if status is not None:
                return status
            time.sleep(0.01)
        raise GuardError(f"no exit status for pid {self.pid}")

    def signal(self, number):
        """Sends a signal to the process alone."""
        if self.alive():
            os.kill(self.pid, number)

    def signal_group(self, number):
        """Sends a signal to its whole process group, also when its leader has ended."""
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            pass

    def children(self):
        """Pids of its direct and indirect children."""
        return descendants(self.pid)

    def kill9(self):
        """SIGKILL to the whole group; returns when every member is gone."""
        self.signal_group(signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self._group_exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"group {self.pid} survives SIGKILL")
            time.sleep(0.005)

    def _group_exists(self):
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True


def run(argv, data=b"", env=None, cwd=None, seconds=600):
    """Runs a program to its end under the guard; returns (exit code, standard output, standard error), both bytes.

    As subprocess.run, but a program that is still at work when the script dies dies with it.  After `seconds` it is killed: TimeoutError.
    """
    files = [os.memfd_create(name) for name in ("stdin", "stdout", "stderr")]
    try:
        stdin, stdout, stderr = (f"/proc/{os.getpid()}/fd/{fd}" for fd in files)
        with open(stdin, "wb") as stream:
            stream.write(data)
        process = Process(argv, stderr, env=env, cwd=cwd, stdout=stdout, stdin=stdin)
        try:
            status = process.wait(seconds)
        except BaseException:               # too long, or the script is being ended
            process.signal_group(signal.SIGKILL)
            raise
        return status, *(_content(path) for path in (stdout, stderr))
    finally:
        for fd in files:
            os.close(fd)


def _content(path):
    with open(path, "rb") as stream:
        return stream.read()


def folder(prefix="mih-"):
    """A new temporary folder (mode 0700) that disappears with the run."""
    return _client.ask(op="folder", prefix=prefix, parent=tempfile.gettempdir())["path"]


def keep():
    """Leaves everything running after the script's end; returns the pid to send SIGTERM to."""
    _client.ask(op="keep")
    _client.kept = True
    return _client.process.pid


def stop():
    """Stops everything now (the end of the script does the same)."""
    _client.stop()


def tail(path, lines=20):
    """The last lines of a log file, indented, for an error message."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            last = stream.readlines()[-lines:]
    except OSError as error:
        return f"    ({path}: {error.strerror})"
    return f"    --- {path} ---\n" + "".join("    " + line for line in last)


if __name__ == "__main__":
    _main()
