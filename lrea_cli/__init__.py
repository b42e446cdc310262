"""lrea: train, compress and serve long-history CTR models."""

__version__ = "0.1.0"
