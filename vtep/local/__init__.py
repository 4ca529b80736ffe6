"""This leaf's own side: what the kernel's tables say of stations here, and what is announced of them. Pure."""
