"""Flink's classes where a JVM finds them soonest: on one class path, and in an archive.

Much of what a JVM of Flink does at its start is to find, read and verify some 10,000 classes. Java
can do that once and map the result from then on (class data sharing). The first run notes which
classes its JVMs load, and has the archive made while it goes on. Java checks an archive against the
jars that it was made from, and loads the classes as ever where they differ.

The planner comes in a jar within a jar, for a class loader of its own, whose classes no archive
holds; here it is taken out of there.
"""

import hashlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Final

from cardwatch import files
from cardwatch.local.processes.stopping import stop_held
from cardwatch.settings import program_environment

_LOADER: Final = "flink-table-planner-loader-*.jar"
_PLANNER: Final = "flink-table-planner.jar"
_STUB: Final = "flink-python-on-the-class-path.jar"


class FlinkClasses:
    """The class path of one PyFlink installation, and the archive of the classes on it."""

    def __init__(self, flink: Path, java: Path, folder: Path) -> None:
        """Use PyFlink's own folder and a Java home; what is made of them is kept in `folder`."""
        self._java = java
        self._folder = folder
        loaders = set(flink.glob(f"lib/{_LOADER}"))
        self._loader = next(iter(loaders), None)
        self._jars = [
            *sorted(set(flink.glob("lib/*.jar")) - loaders),
            *sorted(flink.glob("opt/flink-python*.jar")),
        ]
        self._making: subprocess.Popen[bytes] | None = None
        self._made = False
        """Once is enough: what failed would fail again."""
        self._new = folder / f"archive.{os.getpid()}"

    @property
    def jars(self) -> list[Path]:
        """Give the class path; `prepare` comes first."""
        return [*self._jars, self._folder / _PLANNER]

    @property
    def opt(self) -> Path:
        """Give what Flink takes for its folder `opt`.

        Every job brings along the flink-python jar that is in there, 40 MB which each JVM would
        copy and load classes from; it is on the class path already, so this one is empty.
        """
        return self._folder / "opt"

    def prepare(self) -> None:
        """Take the planner out of its loader; nothing is done where that was done before."""
        planner = self._folder / _PLANNER
        if not planner.exists() and self._loader is not None:
            with (
                zipfile.ZipFile(self._loader) as loader,
                loader.open(_PLANNER) as inner,
                files.whole_file(planner) as out,
            ):
                shutil.copyfileobj(inner, out)
        if not (self.opt / _STUB).exists():
            with files.whole_file(self.opt / _STUB) as out, zipfile.ZipFile(out, "w") as stub:
                stub.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n\n")

    def archive(self) -> Path:
        """Give the archive's place; with another Java or other jars it is another."""
        digest = hashlib.sha256((self._java / "release").read_bytes())
        for jar in self.jars:
            facts = jar.stat()
            digest.update(f"{jar} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        return self._folder / f"{digest.hexdigest()[:16]}.jsa"

    def options(self, name: str, lists: Path) -> list[str]:
        """Give the options of the JVM `name`: to use the archive, or to note in `lists`."""
        archive = self.archive()
        if archive.exists():
            return [f"-XX:SharedArchiveFile={archive}"]
        lists.mkdir(parents=True, exist_ok=True)
        return [f"-XX:DumpLoadedClassList={lists / name}.classes"]

    def keep_archive(self, lists: Path) -> None:
        """Have an archive made of what the JVMs noted, where there is none; call it now and then.

        It is made with what the machine has to spare.
        """
        if self._making is not None:
            if self._making.poll() is not None:
                self.finish_archive(wait_seconds=0.0)
            return
        if self._made or not lists.exists() or self.archive().exists():
            return
        noted = [path.read_text() for path in sorted(lists.glob("*.classes"))]
        names = (line for text in noted for line in text.splitlines() if line[:1] != "#")
        classes = lists / "all.txt"
        files.replace(classes, "\n".join(dict.fromkeys(names)) + "\n")
        with stop_held(), (lists / "archive.log").open("wb") as log:
            self._making = subprocess.Popen(
                [
                    *("nice", "-n", "19", str(self._java / "bin" / "java")),
                    *("-Xshare:dump", "-Xmx512m"),
                    f"-XX:SharedClassListFile={classes}",
                    f"-XX:SharedArchiveFile={self._new}",
                    *("-classpath", os.pathsep.join(map(str, self.jars))),
                ],
                env=program_environment({}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def finish_archive(self, *, wait_seconds: float) -> None:
        """Keep the archive if it is made within so many seconds; else there is none, as before."""
        if self._making is None:
            return
        try:
            status = self._making.wait(wait_seconds)
        except subprocess.TimeoutExpired:
            self._making.kill()
            status = self._making.wait()
        self._making = None
        self._made = True
        if status or not self._new.exists():
            self._new.unlink(missing_ok=True)
            return
        broken_off = set(self._folder.glob("archive.*")) - {self._new}
        for old in (*self._folder.glob("*.jsa"), *broken_off):
            old.unlink(missing_ok=True)
        self._new.replace(self.archive())
