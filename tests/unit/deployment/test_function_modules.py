"""A function without the layer takes along what it imports, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest
from tools.function_modules import main, modules_of

ROOT = Path(__file__).parents[3]
WITHOUT_LAYER = ["flink_application", "flink_code", "warehouse_schema"]


def project(tmp_path: Path, **modules: str) -> Path:
    """Make sources of these modules, `a__b` for cardwatch/a/b.py, and give their folder."""
    for name, text in modules.items():
        path = tmp_path.joinpath("cardwatch", *name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for folder in path.parents:
            if folder == tmp_path:
                break
            (folder / "__init__.py").touch()
    return tmp_path


def names(sources: Path, text: str) -> set[str]:
    handler = sources / "handler.py"
    handler.write_text(text)
    found = modules_of(handler, sources)
    return {str(path.relative_to(sources / "cardwatch").with_suffix("")) for path in found}


def test_modules_are_followed_by_name_and_by_what_is_taken_from_them(tmp_path: Path) -> None:
    sources = project(
        tmp_path,
        a="import json\nfrom cardwatch.b import word\n",
        b="word = 1\n",
        c__d="import cardwatch.e\n",
        e="",
        unused="",
    )
    text = "from cardwatch import a\nfrom cardwatch.c import d\n"
    assert names(sources, text) == {"__init__", "a", "b", "c/__init__", "c/d", "e"}


def test_an_import_within_a_function_counts_and_one_for_types_does_not(tmp_path: Path) -> None:
    sources = project(tmp_path, a="", b="")
    text = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from cardwatch.a import x\n"
        "def f():\n    import cardwatch.b\n"
    )
    assert names(sources, text) == {"__init__", "b"}


def test_a_module_that_is_not_there_stops_the_build(tmp_path: Path) -> None:
    sources = project(tmp_path, a="")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        names(sources, "from cardwatch.nowhere import x\n")


@pytest.mark.parametrize("function", WITHOUT_LAYER)
def test_a_function_imports_with_nothing_but_its_artifact_and_boto3(
    function: str, tmp_path: Path
) -> None:
    main(ROOT / f"functions/{function}/handler.py", tmp_path)
    script = """
import sys
sys.path.insert(0, sys.argv[1])
import handler
foreign = {"pydantic", "aws_lambda_powertools"} & set(sys.modules)
assert not foreign, foreign
ours = [m.__file__ for n, m in sys.modules.items() if n.split(".")[0] == "cardwatch"]
assert ours and all(file.startswith(sys.argv[1]) for file in ours), ours
copied = {str(p) for p in __import__("pathlib").Path(sys.argv[1], "cardwatch").rglob("*.py")}
assert copied == set(ours), copied ^ set(ours)
"""
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )
