"""Fine-tuning: chat templates, supervised training."""
