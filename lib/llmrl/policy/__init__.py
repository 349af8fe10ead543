"""Policy optimization: advantages, surrogates, group methods."""
