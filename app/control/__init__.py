"""What an operator may see and do, without frames and without Flask: transports show what this returns."""
