"""What runs in the sandbox. Standard library, numpy and torch only; `wire` and `recover` serve both sides."""
