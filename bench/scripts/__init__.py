"""Scripts that do what `chainrule train` does, written as one would with another library. See `bench.wall`."""
