"""From attacked images to numbers: records of single predictions, and the metrics over them."""
