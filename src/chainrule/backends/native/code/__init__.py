"""What writes instructions: a plan as LLVM IR."""
