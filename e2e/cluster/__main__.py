"""The command line: `python -m e2e.cluster COMMAND`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from e2e.cluster import cluster, images, kind
from e2e.cluster.build import build
from e2e.cluster.containerfile import rollout_image
from e2e.cluster.layout import ROOT, Layout
from e2e.cluster.progress import ClusterError


def main() -> int:
    options = _parser().parse_args()
    where = Layout(directory=options.dir.resolve())
    provider = kind if os.environ.get("CLUSTER") == "kind" else cluster
    try:
        match options.command:
            case "build":
                for name in options.programs:
                    print(build(name), flush=True)
            case "image":
                print(rollout_image().archive)
            case "up":
                provider.up(where, options.port)
            case "status":
                why = provider.trouble(where)
                print(f"not healthy: {why}" if why else f"healthy: {where.kubeconfig}")
                return 1 if why else 0
            case "images":
                programs = [images.program_archive(name) for name in images.APPLICATIONS]
                image = rollout_image()
                provider.load_all(where, [*programs, image.archive])
                print(image.reference)
            case "load":
                provider.load_all(where, options.archives)
            case "down":
                provider.down(where)
            case "clean":
                provider.clean(where)
    except ClusterError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "cluster: interrupted; the next `up` or `clean` removes what was begun", file=sys.stderr
        )
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m e2e.cluster", description=__doc__)
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path(os.environ.get("CLUSTER_DIR") or ROOT / ".cluster"),
        help="the cluster's directory (.cluster, or $CLUSTER_DIR)",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it, or find it healthy")
    up.add_argument(
        "--port",
        type=int,
        default=int(os.environ.get("HTTP_PORT", "8080")),
        help="port of 127.0.0.1 that leads to the host port 8080 of the node ($HTTP_PORT)",
    )
    commands.add_parser("status", help="say whether it is healthy, or what is not")
    commands.add_parser(
        "images",
        help="build every image and load what the cluster lacks; prints the name of rollout's",
    )
    commands.add_parser("image", help="build the image of rollout; prints the path of its archive")
    loading = commands.add_parser("load", help="load image archives")
    loading.add_argument("archives", nargs="+", type=Path, metavar="ARCHIVE")
    commands.add_parser("down", help="end it; the logs stay")
    commands.add_parser("clean", help="end it and remove all that it made")
    building = commands.add_parser("build", help="build programs; prints the path of each")
    building.add_argument("programs", nargs="+", metavar="PROGRAM")
    return parser


if __name__ == "__main__":
    sys.exit(main())
