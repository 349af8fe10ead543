"""Reinforcement learning from feedback: reward models, KL."""
