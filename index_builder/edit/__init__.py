"""Changes of a bundle that exists: each makes a new bundle that shares the other files by hard links."""
