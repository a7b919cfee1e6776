"""What is done on the graph: rewritten in few forms, then grouped by what is computed together."""
