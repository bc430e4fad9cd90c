"""Looks for inputs that break what must hold, by the code that they reach (`make fuzz`).

Each target of tests/unit/fuzz/targets.py is fed by atheris (libFuzzer) until it has had so many
inputs, starting from the target's seeds and from what was kept before. An input that breaks
something is written to var/fuzz/<target>/, and the exit status is 1. With `--keep`, the fewest
inputs that reach all code that was reached are kept in tests/unit/fuzz/corpus, where `make test`
plays them; one that holds a card number is not.
"""

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

from tests.unit.cards.test_written_out import written_out
from tests.unit.fuzz.targets import TARGETS
from tests.unit.fuzz.test_corpus import KEPT, kept

from cardwatch.contract.card_numbers import holds_card_number

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venvs/fuzz/bin/python"
MAX_BYTES = 4096
SECONDS_AN_INPUT = 10


def engine(target: str, *arguments: str) -> int:
    """Run libFuzzer on a target in a process of its own; gives its exit status."""
    command = [str(PYTHON), "-m", "tools.fuzz_engine", target, *arguments]
    options = [f"-max_len={MAX_BYTES}", f"-timeout={SECONDS_AN_INPUT}", "-rss_limit_mb=2048"]
    return subprocess.run(
        [*command, *options],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        check=False,
    ).returncode


def fresh(folder: Path) -> Path:
    """Give an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def fuzz(target: str, runs: int, seed: int, *, keep: bool) -> int:
    """Feed one target; gives the exit status."""
    work = fresh(ROOT / "var" / "fuzz" / target)
    inputs = fresh(work / "inputs")
    for number, data in enumerate([*TARGETS[target].seeds(), *kept(target)]):
        (inputs / f"{number:04}").write_bytes(data)
    print(f"fuzz  {target}: {runs:,} inputs, seed {seed}", flush=True)
    found = engine(
        target, f"-runs={runs}", f"-seed={seed}", f"-artifact_prefix={work}/", str(inputs)
    )
    broken = sorted(path.name for path in work.iterdir() if path.is_file())
    if found or broken:
        names = ", ".join(broken) or "none, see above"
        print(f"fuzz  {target}: broken; the input is in {work.relative_to(ROOT)}: {names}")
        return 1
    if keep:
        fewest = fresh(work / "fewest")
        if engine(target, "-merge=1", str(fewest), str(inputs)):
            return 1
        write_kept(target, [path.read_bytes() for path in fewest.iterdir()])
    return 0


def write_kept(target: str, inputs: list[bytes]) -> None:
    """Keep inputs as the suite reads them: sorted, without seeds and without card numbers."""
    given = set(TARGETS[target].seeds())
    texts = {data.decode("latin-1") for data in inputs if data not in given}
    safe = (json.dumps(text) for text in texts if not holds_card_number(text))
    lines = sorted(line for line in safe if not written_out(line))
    (KEPT / f"{target}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    print(f"fuzz  {target}: kept {len(lines)} inputs")


def main() -> int:
    """Run the command line; gives the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", nargs="*", choices=[[], *TARGETS], help="default: all")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs for each target")
    parser.add_argument("--seed", type=int, default=1, help="the same seed tries the same")
    parser.add_argument("--keep", action="store_true", help="keep the fewest that reach all code")
    asked = parser.parse_args()
    if not PYTHON.exists():
        print("fuzz: run it by `make fuzz`, which installs what it needs", file=sys.stderr)
        return 1
    try:
        return max(
            fuzz(target, asked.runs, asked.seed, keep=asked.keep)
            for target in asked.target or TARGETS
        )
    except KeyboardInterrupt:
        print("fuzz: stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
