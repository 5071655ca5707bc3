"""Scores of a backbone for a task: pure functions of what it computes."""
