"""``python -m lurcher.benchmarks.baselines.undecomposed``: a reader of the shipped encoder's size.

It reads a question and a passage together through all layers, which is the most that a small transformer
can make of them, at the full price: nothing of a passage can be computed before the question is known::

    [CLS] question [SEP] passage [SEP]  ->  transformer  ->  linear on the passage's tokens  ->  2 logits
    segment 0 ............... 1 .......

Trained as Devlin et al. 2019 ("BERT", section 4.2) read SQuAD v1.1: cross-entropy of where the answer starts
and where it ends. Departure: that nothing answers has the logit 0 beside those of the tokens, as in
models.reader.spans, so that logits of several passages can be held against each other.
"""
