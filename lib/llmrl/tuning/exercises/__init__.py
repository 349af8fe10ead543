"""Exercises on fine-tuning, one module per lesson."""
