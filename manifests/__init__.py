"""Data of s5kit: presets and tables. A package so that an installed s5kit finds them."""
