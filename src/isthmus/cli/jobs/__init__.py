"""Commands of batch jobs."""
