"""A second judge: naive, quadratic, and written from the words of the reference and not from the first judge's code."""
