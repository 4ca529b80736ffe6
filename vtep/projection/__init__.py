"""From routes to rows: which routes win, and what they mean on this leaf. Pure."""
