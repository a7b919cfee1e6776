"""What a fit is made of; `train` puts it together, and `diagnosis` measures with the same parts.

inputs        what people pass, as the arrays that programs read
batches       which samples each step takes
steps         training and evaluation steps as compiled programs
metrics       `METRICS`: what is measured beside the loss
history       what was measured, per step and epoch
files         model files and checkpoints: arrays and a description
"""
