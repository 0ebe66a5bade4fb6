"""What every test shares: hypothesis without deadlines, since a busy machine is no failure."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("rollout", deadline=None)
settings.load_profile("rollout")
