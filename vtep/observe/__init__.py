"""What readers may see: published values, never shared state."""
