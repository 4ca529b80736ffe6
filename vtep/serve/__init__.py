"""Whoever asks from outside, answered from what is published."""
