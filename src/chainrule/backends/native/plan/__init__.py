"""What is decided before code is made: kernels, buffers, tiles, and where everything lies in memory."""
