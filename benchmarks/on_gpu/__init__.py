"""The sections of `benchmarks/gpu.py`: card, gate, serving, compress, training; and what they share."""
