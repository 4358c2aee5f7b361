"""Training steps: executed directly, or captured in a CUDA graph and replayed."""
