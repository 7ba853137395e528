"""lafs and the real peer on one grid."""
