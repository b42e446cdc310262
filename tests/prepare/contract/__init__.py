"""What every source promises: cases of raw rows, what was prepared of them, and the checks between the two."""
