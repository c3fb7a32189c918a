"""Images in: `registry.load_dataset` gives a `Dataset`, whose facts are fields and whose parts are `Split`s.

To add a data set, write one file with a function `dataset(query: Query) -> Dataset`, such as `synthetic.py`, and one
line at the end of `registry.py`: ``register("name", "blurnet_tf.data.file")``. A program of one's own calls `register`
with the function itself. Nothing is loaded here.
"""
