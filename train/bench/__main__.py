"""`python -m train.bench`: runs the contestants and writes docs/benchmarks.json, BENCHMARKS.md and its plots.

With --sizes only the environments are weighed anew, with --page the page alone is written anew; all else stays as the
last run measured it.
"""

import argparse
import json
import sys
from collections.abc import Sequence

from edge.arguments import Parser
from train.bench.page import RESULTS, write_page
from train.data import DataError


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(prog="python -m train.bench", description="Measures Edge Digits beside what else there is.")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--sizes", action="store_true", help="only weigh what is installed; times stay")
    only.add_argument("--page", action="store_true", help="only write BENCHMARKS.md, from docs/benchmarks.json")
    options: argparse.Namespace = parser.parse_args(argv)
    if not options.page:
        from train.bench.run import environments, run

        try:
            found = json.loads(RESULTS.read_text()) | {"environments": environments()} if options.sizes else run()
        except DataError as error:
            print(f"make bench: {error}", file=sys.stderr)
            return 1
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    write_page(json.loads(RESULTS.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
