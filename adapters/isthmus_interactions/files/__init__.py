"""From files and tables to interactions."""
