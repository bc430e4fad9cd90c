"""What makes a JVM of Flink start faster: one class path, and an archive that fits or none."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from cardwatch.local.services.flink_classes import FlinkClasses
from cardwatch.local.services.java import java_home

PATIENCE = 60.0


@pytest.fixture
def flink(tmp_path: Path) -> Path:
    """A PyFlink folder as it is installed, the planner in a jar within a jar."""
    home = tmp_path / "pyflink"
    for name in ("lib/a.jar", "lib/b.jar", "opt/flink-python-2.jar", "opt/flink-sql-client-2.jar"):
        jar(home / name, {"inside": name.encode()})
    planner = jar(tmp_path / "flink-table-planner.jar", {"inside": b"planner"}).read_bytes()
    jar(home / "lib/flink-table-planner-loader-2.jar", {"flink-table-planner.jar": planner})
    return home


def jar(path: Path, content: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as made:
        for name, body in content.items():
            made.writestr(name, body)
    return path


def classes_of(flink: Path, java: Path | None = None) -> FlinkClasses:
    classes = FlinkClasses(flink, java or java_home(), flink.parent / "kept")
    classes.prepare()
    return classes


def run_jvm(classes: FlinkClasses, name: str, lists: Path, *options: str) -> str:
    """Run a JVM that does nothing, with the options that Flink's would get."""
    path = ":".join(map(str, classes.jars))
    java = str(java_home() / "bin" / "java")
    ended = subprocess.run(
        [java, *classes.options(name, lists), *options, "-classpath", path, "-version"],
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stdout


def inside(path: Path) -> list[bytes]:
    with zipfile.ZipFile(path) as opened:
        return [opened.read(name) for name in opened.namelist()]


def test_the_planner_is_on_the_class_path_and_its_loader_is_not(flink: Path) -> None:
    content = [body for path in classes_of(flink).jars for body in inside(path)]
    assert content == [b"lib/a.jar", b"lib/b.jar", b"opt/flink-python-2.jar", b"planner"]


def test_what_every_job_brings_along_is_one_jar_without_a_class(flink: Path) -> None:
    [stub] = classes_of(flink).opt.glob("flink-python*.jar")
    assert zipfile.ZipFile(stub).namelist() == ["META-INF/MANIFEST.MF"]


def test_the_second_run_s_jvms_use_what_those_of_the_first_one_loaded(
    flink: Path, tmp_path: Path
) -> None:
    lists = tmp_path / "lists"
    first = classes_of(flink)
    for name in ("client", "cluster"):
        run_jvm(first, name, lists)
    first.keep_archive(lists)
    first.finish_archive(wait_seconds=PATIENCE)

    second = classes_of(flink)
    # With -Xshare:on a JVM does not start when it cannot use its archive.
    used = run_jvm(second, "client", tmp_path / "none", "-Xshare:on", "-Xlog:class+load")
    assert "source: shared objects file" in used
    assert not (tmp_path / "none").exists()
    second.keep_archive(lists)  # there is one, so none is made
    second.finish_archive(wait_seconds=0.0)
    assert list(second.archive().parent.glob("*.jsa")) == [second.archive()]


def test_an_archive_of_other_jars_or_another_java_is_not_used(flink: Path, tmp_path: Path) -> None:
    lists, java = tmp_path / "lists", tmp_path / "java"
    java.mkdir()
    shutil.copy(java_home() / "release", java)
    classes_of(flink).archive().write_bytes(b"of these jars")
    assert "SharedArchiveFile" in str(classes_of(flink, java).options("client", lists))
    (java / "release").write_text('JAVA_VERSION="21.0.1"\n')
    assert "SharedArchiveFile" not in str(classes_of(flink, java).options("client", lists))
    jar(flink / "lib" / "a.jar", {"inside": b"changed"})
    assert "SharedArchiveFile" not in str(classes_of(flink).options("client", lists))


def test_an_archive_that_is_not_made_in_time_or_fails_leaves_nothing(
    flink: Path, tmp_path: Path
) -> None:
    lists, java = tmp_path / "lists", tmp_path / "java"
    (java / "bin").mkdir(parents=True)
    shutil.copy(java_home() / "release", java)
    lists.mkdir()
    (lists / "client.classes").write_text("java/lang/Object\n")
    for does in ("exec sleep 60", "exit 1"):
        program = java / "bin" / "java"
        program.write_text(f"#!/bin/sh\n{does}\n")
        program.chmod(0o755)
        classes = classes_of(flink, java)
        classes.keep_archive(lists)
        classes.finish_archive(wait_seconds=1.0)
        assert not classes.archive().exists()
        assert {p.name for p in classes.archive().parent.iterdir()} == {
            "flink-table-planner.jar",
            "opt",
        }
        classes.keep_archive(lists)  # what failed is not tried again in the same run
        classes.finish_archive(wait_seconds=0.0)
