"""A ChaosReport as one page for people: it loads nothing, runs nothing, and is as good on paper. Pure."""

from rollout.chaos.page.document import page

__all__ = ["page"]
