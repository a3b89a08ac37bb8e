"""Many runs at a time, in processes and clusters."""
