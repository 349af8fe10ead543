"""The exercises of the chapter on learning from human feedback, one module per lesson."""
