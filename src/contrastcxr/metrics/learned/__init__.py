"""Scores that another network makes, from weights on this machine: BERTScore, CheXbert similarity, RadGraph F1."""

from contrastcxr.metrics.learned.ask import LEARNED, LearnedScores, ask, learned_scores

__all__ = ["LEARNED", "LearnedScores", "ask", "learned_scores"]
