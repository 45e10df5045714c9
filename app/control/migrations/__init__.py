"""The history of the control store's schema."""
