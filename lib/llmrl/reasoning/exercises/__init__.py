"""The exercises of the chapter on reasoning, one module per lesson."""
