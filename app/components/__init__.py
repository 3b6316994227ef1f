"""Widgets of our own; each owns its session keys."""
