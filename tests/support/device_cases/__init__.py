"""What is asked of every builder on the pretend device and on the CPU, by domain."""
