"""Several segments as one: each module has the face of one segment's store, by rows of a snapshot."""
