"""How probes are asked, one module for each type: a new type is one module and one line in asking.py's table."""
