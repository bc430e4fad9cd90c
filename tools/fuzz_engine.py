"""Feeds one target by libFuzzer, in the environment that has it; `tools.fuzz` asks.

`python -m tools.fuzz_engine <target> <arguments of libFuzzer>`
"""

import sys

import atheris

with atheris.instrument_imports(include=["cardwatch"]):
    from tests.unit.fuzz.targets import TARGETS


def main() -> None:
    """Feed the target; libFuzzer ends the process."""
    _, target, *arguments = sys.argv
    # A merge runs this text, a process for what each crash left over.
    itself = f"{sys.executable} -m tools.fuzz_engine {target}"
    atheris.Setup([itself, *arguments], TARGETS[target].run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
