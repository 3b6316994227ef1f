"""What AGO is compared with: each peer in a process, and most in an environment, of its own."""
