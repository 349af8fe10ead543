"""Reasoning: search over answers, distillation."""
