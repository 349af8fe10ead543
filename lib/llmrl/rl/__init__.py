"""Reinforcement learning: problems, planning, learning from experience, with tables and with networks."""
