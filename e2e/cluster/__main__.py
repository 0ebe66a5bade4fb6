"""The command line: `python -m e2e.cluster COMMAND`."""

from __future__ import annotations

import argparse
import sys

from e2e.cluster.build import build
from e2e.cluster.progress import ClusterError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    building = commands.add_parser("build", help="build programs; prints the path of each")
    building.add_argument("programs", nargs="+", metavar="PROGRAM")
    options = parser.parse_args()
    try:
        for name in options.programs:
            print(build(name), flush=True)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
