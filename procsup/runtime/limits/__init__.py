"""Memory and processor time: held by the kernel where control groups are ours, watched by us where not."""
