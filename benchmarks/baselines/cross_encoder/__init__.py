"""``python -m lurcher.benchmarks.baselines.cross_encoder``: a cross-encoder of the shipped size.

It reads a question and a passage together, which is the most that a small transformer can make of
them, at the full price: nothing of a passage can be computed before the question is known::

    [CLS] question [SEP] passage [SEP]  ->  transformer  ->  linear on [CLS]  ->  logit
    segment 0 ............... 1 .......

Trained as Nogueira & Cho 2019 ("Passage Re-ranking with BERT") score pairs, with a softmax over one
relevant passage and a few that the first stage found in its place (Gao et al. 2021, "Rethink
Training of BERT Rerankers in Multi-Stage Retrieval Pipeline").
"""
