"""Go programs and the modules that they are linked from."""
