"""The exercises of the chapter on reinforcement learning, one module per lesson."""
