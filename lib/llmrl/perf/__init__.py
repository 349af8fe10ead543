"""Performance: what memory, arithmetic and moving bytes cost, and how to pay less."""
