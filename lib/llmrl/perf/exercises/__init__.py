"""The exercises of the chapter on performance, one module per lesson."""
