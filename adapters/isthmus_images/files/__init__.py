"""From files, folders and arrays to pixels."""
