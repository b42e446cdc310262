"""Triton programs: what runs on the card. Only `kernels/fused.py` imports them, where triton is installed."""
