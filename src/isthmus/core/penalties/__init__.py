"""What is added to the objective: sparsity, dead units, the derivative of the code."""
