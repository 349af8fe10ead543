"""Learning from preferences: the losses and what they need."""
