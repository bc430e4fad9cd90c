import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cardwatch.local.errors import LocalStackError
from cardwatch.local.services import deploy
from cardwatch.settings import LocalSettings

BUILDING = """
import sys
from pathlib import Path
from cardwatch.local.services import deploy
from cardwatch.settings import LocalSettings

root = Path(sys.argv[1])
settings = LocalSettings(var=root / sys.argv[2], cards=Path(sys.argv[3]))
deploy.build(settings, root, progress=print)
"""
FAKE_SAM = """#!/bin/sh
# As SAM does: the folder is emptied, and its template is the last thing written.
rm -rf .aws-sam/local && mkdir -p .aws-sam/local
sleep 0.5
test ! -e refused || { echo "Error: refused"; exit 1; }
test ! -e .aws-sam/local/template.yaml || { echo "Error: somebody else builds here"; exit 1; }
echo built > .aws-sam/local/template.yaml
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    sam = tmp_path / deploy.SAM
    sam.parent.mkdir(parents=True)
    sam.write_text(FAKE_SAM)
    sam.chmod(0o755)
    for name in ("one.txt", "other.txt"):
        (tmp_path / name).write_text(name)
    return tmp_path


def test_builds_from_one_folder_at_once_wait_for_each_other(project: Path) -> None:
    builds = [
        subprocess.Popen(
            [sys.executable, "-c", BUILDING, project, f"var{number}", cards],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number, cards in enumerate(("one.txt", "other.txt", "one.txt"))
    ]
    said = [build.communicate(timeout=60) for build in builds]
    assert [build.returncode for build in builds] == [0, 0, 0], said
    assert sum("waiting for another run" in output for output, _ in said) >= 1


def test_what_a_failed_build_left_and_what_lost_its_template_is_built_again(project: Path) -> None:
    said: list[str] = []

    def build() -> bool:
        settings = LocalSettings(var=project / "var", cards=Path("one.txt"))
        return deploy.build(settings, project, progress=said.append)

    (project / "refused").touch()
    with pytest.raises(LocalStackError, match=r"`sam build` failed: .*refused"):
        build()
    (project / "refused").unlink()
    assert [build(), build()] == [True, False]
    (project / deploy.BUILT / "template.yaml").unlink()
    assert build()
    shutil.rmtree(project / deploy.BUILT)
    assert build()
