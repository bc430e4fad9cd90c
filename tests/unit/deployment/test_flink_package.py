"""The application's archive is the same bytes everywhere; its connector is fetched and verified."""

import ast
import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tools.flink_package import Artifact, PackageError, build_archive, fetch_connector

ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])
ARTIFACT = Artifact.from_pom(ROOT / "flink_app" / "pom.xml")
JAR = b"what stands for the connector"
SHA1 = hashlib.sha1(JAR, usedforsecurity=False).hexdigest()
SHA256 = hashlib.sha256(JAR).hexdigest()


@pytest.fixture
def application(tmp_path: Path) -> Path:
    """The application's folder, without a connector."""
    copy = tmp_path / "flink_app"
    shutil.copytree(ROOT / "flink_app", copy, ignore=shutil.ignore_patterns("lib", "__pycache__"))
    return copy


def with_jar(application: Path, content: bytes = JAR) -> Path:
    jar = application / "lib" / ARTIFACT.file
    jar.parent.mkdir(exist_ok=True)
    jar.write_bytes(content)
    return jar


# ---------- the archive ----------


def test_the_same_sources_give_the_same_bytes_whatever_their_times_and_order(
    application: Path, tmp_path: Path
) -> None:
    with_jar(application)
    other = tmp_path / "elsewhere" / "flink_app"
    for path in sorted(application.rglob("*"), reverse=True):
        if path.is_file():
            copy = other / path.relative_to(application)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(path.read_bytes())
            os.utime(copy, (1_000_000_000, 1_000_000_000))
            copy.chmod(0o700)
    digests = {build_archive(a, tmp_path / f"{i}.zip") for i, a in enumerate((application, other))}
    assert len(digests) == 1
    assert digests == {hashlib.sha256((tmp_path / "0.zip").read_bytes()).hexdigest()}


def test_changed_sql_gives_other_bytes(application: Path, tmp_path: Path) -> None:
    with_jar(application)
    before = build_archive(application, tmp_path / "1.zip")
    sql = next((application / "sql").glob("detections/*.sql"))
    sql.write_text(sql.read_text() + "-- changed\n")
    assert build_archive(application, tmp_path / "2.zip") != before


def test_the_archive_holds_the_modules_the_sql_and_the_connector_and_nothing_of_one_machine(
    application: Path, tmp_path: Path
) -> None:
    with_jar(application)
    (application / "lib" / "flink-sql-connector-aws-kinesis-streams-5.0.0.jar").write_bytes(b"old")
    build_archive(application, tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        names = archive.namelist()
        assert archive.read(f"lib/{ARTIFACT.file}") == JAR
    assert names == sorted(names)
    sql = {p.relative_to(application).as_posix() for p in application.glob("sql/**/*.sql")}
    modules = {p.name for p in application.glob("*.py") if not p.name.startswith("local_")}
    assert set(names) == sql | modules | {f"lib/{ARTIFACT.file}"}
    assert "main.py" in modules


def test_what_the_archive_leaves_out_is_imported_for_the_local_edge_only(
    application: Path,
) -> None:
    for path in application.glob("*.py"):
        if path.name.startswith("local_"):
            continue
        tree = ast.parse(path.read_text())
        at_import = {
            node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
        }
        assert not {str(m) for m in at_import if str(m).startswith("local_")}, path.name


def test_without_the_connector_there_is_no_archive_but_a_remedy(
    application: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.zip"
    with pytest.raises(PackageError) as raised:
        build_archive(application, out)
    assert not out.exists()
    for words in (ARTIFACT.file, "make connector", "put the jar at flink_app/lib/", "local"):
        assert words in str(raised.value)


# ---------- the build ----------


def make(
    target: str, root: Path, artifacts: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    artifacts.mkdir(parents=True)
    name = "flink_code" if target == "FlinkCodeFunction" else "flink_application"
    return subprocess.run(
        ["make", "-f", str(root / f"functions/{name}/Makefile"), f"build-{target}", *options],
        env={**os.environ, "ARTIFACTS_DIR": str(artifacts)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(application: Path) -> Path:
    root = application.parent
    for name in ("functions", "infra", "src", "tools"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", root)
    return root


def test_the_build_for_aws_fails_without_the_connector_and_says_how_to_supply_it(
    project: Path,
) -> None:
    done = make("FlinkCodeFunction", project, project / "out")
    assert done.returncode != 0
    assert not (project / "out" / "flink_app.zip").exists()
    assert "make connector" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_build_for_aws_puts_the_archive_into_the_artifact(project: Path) -> None:
    with_jar(project / "flink_app")
    done = make("FlinkCodeFunction", project, project / "out")
    assert done.returncode == 0, done.stderr
    assert (project / "out" / "flink_app.zip").exists()


def test_the_build_for_one_machine_needs_no_connector(project: Path) -> None:
    done = make("FlinkCodeFunction", project, project / "out", "MANAGED_FLINK=no")
    assert done.returncode == 0, done.stderr
    assert not (project / "out" / "flink_app.zip").exists()
    assert "MANAGED_FLINK := no" in (ROOT / "infra/local.mk").read_text()


IMPORT = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
import handler
beside = {n for n in sys.modules if n.startswith("cardwatch.")}
print(*sorted(beside))
"""


@pytest.mark.parametrize("target", ["FlinkCodeFunction", "FlinkApplicationFunction"])
def test_an_artifact_imports_with_boto3_alone_beside_it(project: Path, target: str) -> None:
    done = make(target, project, project / "out", "MANAGED_FLINK=no")
    assert done.returncode == 0, done.stderr
    flink = ROOT / ".venvs" / "flink" / "bin" / "python"  # has boto3, and neither pydantic nor us
    ended = subprocess.run(
        [str(flink), "-I", "-B", "-c", IMPORT, str(project / "out")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    packed = {
        ".".join(path.relative_to(project / "out").with_suffix("").parts).removesuffix(".__init__")
        for path in (project / "out" / "cardwatch").rglob("*.py")
    }
    assert set(ended.stdout.split()) == packed - {"cardwatch"}


# ---------- the connector ----------


@contextmanager
def repository(files: dict[str, bytes], status: int = 404) -> Iterator[str]:
    """A repository of Maven's layout; what it lacks is answered with `status`."""

    class Repository(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path.removeprefix("/maven/"))
            self.send_response(200 if content is not None else status)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/maven/"
        finally:
            server.shutdown()
            thread.join()


def published(**checksums: bytes) -> dict[str, bytes]:
    return {ARTIFACT.path: JAR} | {
        f"{ARTIFACT.path}.{algorithm}": value for algorithm, value in checksums.items()
    }


def test_the_connector_s_place_in_a_repository_follows_from_the_pom() -> None:
    assert ARTIFACT.path == (
        "org/apache/flink/flink-sql-connector-aws-kinesis-streams/6.0.0-2.0/"
        "flink-sql-connector-aws-kinesis-streams-6.0.0-2.0.jar"
    )


@pytest.mark.parametrize(
    ("files", "verified"),
    [
        (published(sha256=SHA256.encode(), sha1=b"not looked at"), f"sha256 {SHA256}"),
        (published(sha1=SHA1.encode()), f"sha1 {SHA1}"),
        (published(sha1=f"{SHA1.upper()}  connector.jar\n".encode()), f"sha1 {SHA1}"),
    ],
    ids=["sha256", "sha1", "sha1-with-a-name"],
)
def test_the_connector_is_fetched_and_verified_by_the_strongest_published_checksum(
    application: Path, files: dict[str, bytes], verified: str
) -> None:
    with repository(files) as address:
        said = fetch_connector(application, address)
    assert (application / "lib" / ARTIFACT.file).read_bytes() == JAR
    assert "fetched and verified" in said
    assert verified in said


def test_a_connector_that_is_there_is_verified_and_not_fetched_again(application: Path) -> None:
    with_jar(application)
    files = published(sha256=SHA256.encode())
    del files[ARTIFACT.path]
    with repository(files) as address:
        assert "is the published one" in fetch_connector(application, address)


def test_another_file_under_the_connector_s_name_is_replaced(application: Path) -> None:
    jar = with_jar(application, b"something else")
    with repository(published(sha256=SHA256.encode())) as address:
        fetch_connector(application, address)
    assert jar.read_bytes() == JAR


def test_a_connector_with_a_wrong_checksum_is_not_kept(application: Path) -> None:
    with (
        repository(published(sha256=b"0" * 64)) as address,
        pytest.raises(PackageError, match="it was not kept") as raised,
    ):
        fetch_connector(application, address)
    assert SHA256 in str(raised.value)
    assert "CONNECTOR_REPOSITORY" in str(raised.value)
    assert list((application / "lib").iterdir()) == []


@pytest.mark.parametrize("checksum", [b"", b"<html>sign in</html>", b"12ab"])
def test_a_checksum_that_is_none_is_no_checksum(application: Path, checksum: bytes) -> None:
    with (
        repository(published(sha256=checksum)) as address,
        pytest.raises(PackageError, match="holds no sha256"),
    ):
        fetch_connector(application, address)


def test_without_a_published_checksum_nothing_is_fetched(application: Path) -> None:
    with (
        repository({ARTIFACT.path: JAR}) as address,
        pytest.raises(PackageError, match="publishes no checksum"),
    ):
        fetch_connector(application, address)
    assert list((application / "lib").iterdir()) == []


def test_a_mirror_without_the_connector_says_to_name_another_or_to_build_it(
    application: Path,
) -> None:
    with (
        repository({}) as address,
        pytest.raises(PackageError, match="some mirrors lack it") as raised,
    ):
        fetch_connector(application, address)
    assert "build it from its sources (docs/deployment.md" in str(raised.value)


def test_a_repository_that_answers_with_an_error_is_named_with_it(application: Path) -> None:
    with (
        repository({}, status=503) as address,
        pytest.raises(PackageError, match="it answers 503") as raised,
    ):
        fetch_connector(application, address)
    assert address in str(raised.value)


def test_an_unreachable_repository_is_named_with_both_remedies(application: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(PackageError, match="cannot be reached") as raised:
        fetch_connector(application, address)
    for words in (address, "CONNECTOR_REPOSITORY", f"flink_app/lib/{ARTIFACT.file}"):
        assert words in str(raised.value)


@pytest.mark.parametrize("address", ["ftp://host/maven", "file:///repository", "host/maven", ""])
def test_a_repository_must_be_an_http_address(application: Path, address: str) -> None:
    with pytest.raises(PackageError, match="http or https address"):
        fetch_connector(application, address)


MAVEN = """#!{python}
import pathlib, sys
assert "--strict-checksums" in sys.argv
pom = pathlib.Path(sys.argv[sys.argv.index("--file") + 1])
{act}
"""


def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str) -> None:
    program = tmp_path / "bin" / "mvn"
    program.parent.mkdir()
    program.write_text(MAVEN.format(python=sys.executable, act=act))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))


def test_with_no_repository_named_maven_fetches_the_connector(
    application: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"pom.parent.joinpath('lib', {ARTIFACT.file!r})"
    maven(tmp_path, monkeypatch, f"{place}.write_bytes(b'jar')")
    assert "fetched by Maven" in fetch_connector(application, None)


def test_what_maven_says_first_is_the_reason_when_it_fails(
    application: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maven(tmp_path, monkeypatch, "print('[ERROR] Could not find it\\n[ERROR] more'); sys.exit(1)")
    with pytest.raises(PackageError, match="Could not find it") as raised:
        fetch_connector(application, None)
    assert "CONNECTOR_REPOSITORY=<address>" in str(raised.value)
    assert "docs/deployment.md" in str(raised.value)
    assert "more" not in str(raised.value)


def test_with_neither_a_repository_nor_maven_both_remedies_are_named(
    application: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PackageError, match="no repository is named") as raised:
        fetch_connector(application, None)
    for words in ("CONNECTOR_REPOSITORY=", f"put the jar at flink_app/lib/{ARTIFACT.file}"):
        assert words in str(raised.value)
