"""What runs: executables, on disk and in memory, and the threads that share them."""
