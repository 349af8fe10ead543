"""The library against its peers, as ratios in one run: `make bench`, or `python -m bench --row training.step`."""
