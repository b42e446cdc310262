"""The parts of `benchmarks/results.py`: what the authors of lrea add to the results of `lrea sweep`."""
