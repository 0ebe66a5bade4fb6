"""How the page looks: in light, in dark and on paper. Only CSS; knows no report."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --ink: #1b1f24; --dim: #57606a; --paper: #ffffff; --raised: #f6f8fa; --rule: #d0d7de;
  --accent: #0969da; --good: #1a7f37; --bad: #c62828; --warn: #9a6700; --shade: #d4a72c33;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --dim: #9aa4af; --paper: #0d1117; --raised: #161b22; --rule: #30363d;
    --accent: #58a6ff; --good: #3fb950; --bad: #ff7b72; --warn: #d29922; --shade: #d2992233;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 54rem; padding: 2.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .5rem 0; max-width: 46rem; }
.dim { color: var(--dim); }
.lead { font-size: 1.15rem; margin: .75rem 0 1.25rem; }
.verdict {
  display: flex; gap: .9rem; align-items: baseline; padding: .8rem 1rem; border-radius: .5rem;
  background: var(--raised); border-left: .35rem solid var(--tone); margin: 1.25rem 0;
}
.verdict strong { color: var(--tone); font-size: 1.15rem; white-space: nowrap; }
.tone-good { --tone: var(--good); } .tone-bad { --tone: var(--bad); } .tone-warn { --tone: var(--warn); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .9rem 1.5rem; margin: 0; }
dt { font-size: .8rem; color: var(--dim); } dd { margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th { text-align: left; font-size: .8rem; font-weight: 600; color: var(--dim); }
th, td { padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
td.num, th.num { text-align: right; white-space: nowrap; }
td.time { white-space: nowrap; color: var(--dim); }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); gap: 0 2.5rem; align-items: start; }
.scroll { overflow-x: auto; }
ul { padding-left: 1.2rem; margin: .5rem 0; } li { margin: .35rem 0; max-width: 46rem; }
pre {
  background: var(--raised); padding: .9rem 1rem; border-radius: .5rem; overflow-x: auto; margin: .5rem 0;
  font: .82rem/1.5 ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace;
}
code { font: .88em ui-monospace, "SF Mono", Menlo, "DejaVu Sans Mono", monospace; }
summary { cursor: pointer; color: var(--accent); }
.sign-good { color: var(--good); } .sign-bad { color: var(--bad); } .sign-warn { color: var(--warn); }
.chart { display: block; width: 100%; height: auto; margin: .4rem 0 .2rem; }
.chart text { fill: var(--dim); font: 11px system-ui, "Liberation Sans", sans-serif; }
.chart .strong { fill: var(--warn); font-weight: 600; }
.chart .middle { text-anchor: middle; } .chart .end { text-anchor: end; }
.chart .grid { stroke: var(--rule); stroke-dasharray: 2 4; } .chart .axis { stroke: var(--rule); }
.chart .bar { fill: var(--accent); } .chart .mark { stroke: var(--warn); stroke-dasharray: 4 3; }
.chart .line { fill: none; stroke: var(--accent); stroke-width: 1.75; stroke-linejoin: round; }
.chart .limit { stroke: var(--warn); stroke-width: 1.25; stroke-dasharray: 6 4; }
.chart .fault { fill: var(--shade); }
.chart .good { fill: var(--good); } .chart .none { fill: var(--paper); stroke: var(--dim); stroke-width: 1.5; }
.chart .bad { fill: none; stroke: var(--bad); stroke-width: 2.25; }
footer { margin-top: 3rem; font-size: .8rem; color: var(--dim); }
figure { margin: 0 0 1rem; overflow-x: auto; }
.chart { min-width: 34rem; }
@media print {
  :root {
    --ink: #000; --dim: #444; --paper: #fff; --raised: #f4f4f4; --rule: #bbb;
    --accent: #0550ae; --good: #116329; --bad: #a40e26; --warn: #7d4e00; --shade: #d4a72c44;
  }
  body { padding: 0; max-width: none; font-size: 10.5pt; }
  h2 { break-after: avoid; } h3 { break-after: avoid; }
  figure, tr, dl > div, .verdict { break-inside: avoid; }
  figure details { display: none; } .chart { min-width: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
