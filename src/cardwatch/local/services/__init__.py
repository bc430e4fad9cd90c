"""What the stack is made of on one machine: AWS emulator, deployed stack, Flink cluster, Java."""
