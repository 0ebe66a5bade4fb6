"""`python -m rollout.mesh.agent`: the agent where no console script is installed."""

from __future__ import annotations

import sys

from rollout.mesh.agent.main import main

sys.exit(main(sys.argv[1:]))
