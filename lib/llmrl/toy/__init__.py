"""The small world every lesson lives in: corpus, tasks, preferences, environments, checkpoints."""
