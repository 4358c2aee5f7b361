"""Information about the machine and the process: hardware, devices, memory, forks."""
