"""The entry of every command. The agent's is taken here, before anything large is imported: it runs beside every pod."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:2] == ["agent"]:
        from rollout.mesh.agent.main import main as agent

        sys.exit(agent(sys.argv[2:]))
    from rollout.cli.app import run

    sys.exit(run())


if __name__ == "__main__":
    main()
