"""Exercises on learning from preferences, one module per lesson."""
