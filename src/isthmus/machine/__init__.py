"""What a program should know of the machine and the process that it runs in."""
