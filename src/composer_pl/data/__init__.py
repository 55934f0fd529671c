"""Photos from disk to batches; `datamodule.py` is the way in."""
