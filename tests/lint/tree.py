"""The files that a check looks at, and the programs that it runs over them."""
import json
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

SECONDS = 300
SKIPPED = re.compile(r"(^|/)(\.git|build[^/]*|node_modules|__pycache__)(/|$)|^tests/output/")
PROJECT = ("common", "dispatcher", "worker")


class Tree:
    """A folder with sources: the project, or a small bad one of the self-test.

    `files` are its files relative to `root`: what git tracks or would, whatever is committed; without git, all but builds."""

    def __init__(self, root, commands=None):
        self.root = root
        self.commands = commands
        self.files = self._tracked() if os.path.exists(os.path.join(root, ".git")) else self._walked()

    def _tracked(self):
        done = run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], self.root)
        if done.returncode != 0:
            raise OSError(f"git ls-files: {done.stdout}")
        return sorted(path for path in set(done.stdout.split("\0")) if path and os.path.isfile(self.path(path)))

    def _walked(self):
        found = (os.path.relpath(os.path.join(folder, name), self.root) for folder, _, names in os.walk(self.root) for name in names)
        return sorted(path for path in found if not SKIPPED.search(path))

    def path(self, relative):
        """The full path of a file."""
        return os.path.join(self.root, relative)

    def ending(self, *suffixes, under=""):
        """The files with these suffixes, in a folder."""
        return [path for path in self.files if path.endswith(suffixes) and path.startswith(under)]

    def read(self, relative):
        """A file's text."""
        with open(self.path(relative), encoding="utf-8") as file:
            return file.read()

    def run(self, command):
        """Runs a program in the root folder."""
        return run(command, self.root)

    def compile_commands(self):
        """The folder of clang's compile_commands.json, which names every C file; configured when it is not given."""
        if self.commands is None:
            folder = self.path("build-lint")
            done = self.run(["cmake", "-S", ".", "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_COMPILER=clang",
                             "-DMIH_TESTS=ON", "-DMIH_FUZZ=ON"])
            if done.returncode != 0:
                raise OSError(f"cmake: {done.stdout}")
            self.commands = folder
        return self.commands

    def built(self, *targets):
        """Builds programs as they are shipped (gcc, Release); their paths."""
        folder = self.path("build")
        done = self.run(["cmake", "-S", ".", "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_C_COMPILER=gcc",
                         "-DMIH_WERROR=ON", "-DMIH_TESTS=ON"])
        if done.returncode == 0:
            done = self.run(["ninja", "-C", folder, *targets])
        if done.returncode != 0:
            raise OSError(f"build: {done.stdout}")
        return [os.path.join(folder, "bin", target) for target in targets]


def run(command, folder, environment=None):
    """Runs a program to its end; its output is in stdout, the errors among it."""
    try:
        return subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise OSError(f"{command[0]} still ran after {SECONDS} s") from error


def complaints(done, root):
    """The lines of a checker that failed, without the folder before the paths; [] when it was content."""
    if done.returncode == 0:
        return []
    lines = [line.replace(root + "/", "") for line in done.stdout.splitlines() if line.strip()]
    return lines or [f"exit code {done.returncode} without a word"]


def in_parallel(work, items):
    """The findings of work(item) for each item, on every processor, in the order of the items."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        return [finding for findings in pool.map(work, items) for finding in findings]


def compiled(folder):
    """The C files that a compile_commands.json names."""
    with open(os.path.join(folder, "compile_commands.json"), encoding="utf-8") as file:
        return sorted({os.path.join(one["directory"], one["file"]) for one in json.load(file)})
