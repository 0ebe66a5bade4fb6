"""Thin commands over the rooms below; renderers apart."""
