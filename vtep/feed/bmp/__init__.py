"""BMP: a feed that listens to routers which report what their BGP peers send (RFC 7854, RFC 8671, RFC 9069)."""
