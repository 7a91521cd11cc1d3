"""ROOT and GGFM as sides."""
