"""Generated from proto/vtep/v1 by ./vtep-dev proto; do not edit."""
