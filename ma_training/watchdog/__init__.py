"""Notices hangs and stragglers: evidence is collected, pure rules judge it, stacks explain it."""
