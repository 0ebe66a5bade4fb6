"""Go's text/template in Python: queries of metrics are written in it, and so is the Helm chart.

Bounded (steps, depth, output) and closed: templates reach mappings, sequences and scalars, never Python's attributes.
Knows neither metrics nor charts; their functions are handed in.
"""

from rollout.api.gotemplate.errors import TemplateError
from rollout.api.gotemplate.template import Limits, TemplateSet, parse_errors, render

__all__ = ["Limits", "TemplateError", "TemplateSet", "parse_errors", "render"]
