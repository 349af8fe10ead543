"""The exercises of the chapter on policy optimization, one module per lesson."""
