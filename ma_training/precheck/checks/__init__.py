"""One check a file: its name, when it applies, what it measures and requires, and what to do."""
