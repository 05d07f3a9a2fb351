"""Measurements of the launcher beside what it replaces, on the machine at hand."""
