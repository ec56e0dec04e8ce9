"""Networks: equations, forward and backward side by side."""
