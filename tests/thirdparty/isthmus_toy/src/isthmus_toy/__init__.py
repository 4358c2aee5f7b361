"""An adapter for words of balanced ternary digits, one word a line: ``-0+0``."""
